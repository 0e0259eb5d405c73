"""Healthy programs that look like troubles, and what must not be said of them."""
