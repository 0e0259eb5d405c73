"""An observability and profiling harness for asyncio services."""
