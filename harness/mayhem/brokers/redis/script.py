"""The keys of a queue, and the Lua scripts that change them."""

from __future__ import annotations

from typing import NamedTuple

# How long a message's id and its settlement are kept. Longer than any publisher retries; each id takes the
# server some hundred bytes.
KEPT_S = 3600

# KEYS of all scripts are those of `Keys`, in their order.
PRELUDE = """
local stream, due, figures, settled, dead = unpack(KEYS)
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local function settle(entry, number, state, id, reason)
    redis.call('XACK', stream, 'service', entry)
    redis.call('XDEL', stream, entry)
    redis.call('ZREM', due, entry)
    redis.call('HINCRBY', figures, state, 1)
    redis.call('XADD', settled, 'MINID', '~', math.floor(now / 1000) - KEPT_MS,
        '*', 'id', id, 'state', state, 'number', number, 'at_us', now, 'reason', reason)
end
""".replace("KEPT_MS", str(KEPT_S * 1000))

PUT = """
local known, id, body, headers, published_at = KEYS[6], unpack(ARGV)
if redis.call('SET', known, '', 'NX', 'EX', KEPT_S) then
    redis.call('XADD', stream, '*', 'id', id, 'body', body, 'headers', headers, 'published_at', published_at)
    redis.call('HINCRBY', figures, 'published', 1)
end
""".replace("KEPT_S", str(KEPT_S))

CLAIM = """
local lease, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
local taken = {}
local function take(entry, number, fields)
    redis.call('ZADD', due, now + lease, entry)
    taken[#taken + 1] = {entry, number, fields}
end
for _, entry in ipairs(redis.call('ZRANGE', due, '-inf', now, 'BYSCORE', 'LIMIT', 0, limit)) do
    local found = redis.call('XCLAIM', stream, 'service', 'hand', 0, entry)[1]
    if found then
        local number = redis.call('XPENDING', stream, 'service', entry, entry, 1)[1][4]
        if number > 1 then redis.call('HINCRBY', figures, 'redelivered', 1) end
        take(entry, number, found[2])
    else  -- it was deleted from the stream; the ledger counts it as lost
        redis.call('XACK', stream, 'service', entry)
        redis.call('ZREM', due, entry)
    end
end
if #taken < limit then
    local count = limit - #taken
    local new = redis.call('XREADGROUP', 'GROUP', 'service', 'hand', 'COUNT', count, 'STREAMS', stream, '>')
    for _, found in ipairs(new and new[1][2] or {}) do take(found[1], 1, found[2]) end
end
if #taken > 0 then return {taken} end
-- What to wait for: the first entry to fall due, or an entry after the last one.
local first = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')[2]
local info, last = redis.call('XINFO', 'STREAM', stream), '0'
for i = 1, #info, 2 do if info[i] == 'last-generated-id' then last = info[i + 1] end end
return {taken, first and first - now or -1, last}
"""

HELD = """
local entry, number = ARGV[1], tonumber(ARGV[2])
local pending = redis.call('XPENDING', stream, 'service', entry, entry, 1)[1]
if not (pending and pending[2] == 'hand' and pending[4] == number) then return 0 end
"""
ACK = "settle(entry, number, 'acked', ARGV[3], '') return 1"
NACK = """
redis.call('XCLAIM', stream, 'service', 'queue', 0, entry, 'JUSTID')
redis.call('ZADD', due, now + tonumber(ARGV[3]), entry)
redis.call('HINCRBY', figures, 'nacked', 1)
return 1
"""
# The claim only resets the idle time that XPENDING shows.
EXTEND = """
redis.call('XCLAIM', stream, 'service', 'hand', 0, entry, 'JUSTID')
redis.call('ZADD', due, now + tonumber(ARGV[3]), entry)
return 1
"""
UNCLAIM = """
redis.call('XCLAIM', stream, 'service', 'queue', 0, entry, 'RETRYCOUNT', number - 1, 'JUSTID')
redis.call('ZADD', due, now, entry)
if number > 1 then redis.call('HINCRBY', figures, 'redelivered', -1) end
return 1
"""
DEAD_LETTER = """
local found = redis.call('XRANGE', stream, entry, entry)[1]
if not found then return 0 end
local fields = found[2]
for _, more in ipairs({'deliveries', number, 'reason', ARGV[4]}) do fields[#fields + 1] = more end
redis.call('XADD', dead, '*', unpack(fields))
settle(entry, number, 'dead', ARGV[3], ARGV[4])
return 1
"""


class Keys(NamedTuple):
    """The keys of a queue; the braces make a cluster keep them on one node."""

    stream: str
    due: str
    figures: str
    settled: str
    dead: str

    @classmethod
    def of(cls, queue: str) -> Keys:
        return cls(*(f"{{{queue}}}:{name}" for name in cls._fields))

    def known(self, message_id: str) -> str:
        return f"{self.stream.removesuffix('stream')}known:{message_id}"
