#!/usr/bin/env python3
"""A link with a long round trip: passes connections on, each byte as late as over such a link.

relay.py PORT TO MILLISECONDS           connections to PORT, to the same address's port TO
relay.py - ADDRESS PORT MILLISECONDS    its input and output, to a port of an address: a ProxyCommand of ssh
"""

import asyncio
import sys


async def pump(reader, writer, delay):
    """Passes bytes on, each as late as it came."""
    clock, waiting = asyncio.get_running_loop(), asyncio.Queue()

    async def send():
        while (item := await waiting.get())[1]:
            await asyncio.sleep(item[0] - clock.time())
            writer.write(item[1])
            await writer.drain()
        await asyncio.sleep(item[0] - clock.time())
        writer.close()

    sending = asyncio.create_task(send())
    while not sending.done():
        data = await reader.read(1 << 18)
        waiting.put_nowait((clock.time() + delay, data))
        if not data:
            break
    await asyncio.wait([sending])


async def pass_on(reader, writer, address, port, delay):
    """One connection. Making it takes a round trip too."""
    await asyncio.sleep(2 * delay)
    there = await asyncio.open_connection(address, port)
    await asyncio.gather(pump(reader, there[1], delay), pump(there[0], writer, delay), return_exceptions=True)


async def listen(port, to, delay):
    """Passes all connections to a port on."""

    async def accepted(reader, writer):
        await pass_on(reader, writer, writer.get_extra_info("sockname")[0], to, delay)

    server = await asyncio.start_server(accepted, "0.0.0.0", port, backlog=1000)
    await server.serve_forever()


async def pass_on_own(address, port, delay):
    """Passes this program's input and output on."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, sys.stdout)
    await pass_on(reader, asyncio.StreamWriter(transport, protocol, None, loop), address, port, delay)


match sys.argv[1:]:
    case ["-", address, port, milliseconds]:
        asyncio.run(pass_on_own(address, int(port), int(milliseconds) / 2000))
    case [port, to, milliseconds]:
        asyncio.run(listen(int(port), int(to), int(milliseconds) / 2000))
    case _:
        sys.exit("usage: relay.py PORT TO MILLISECONDS, or relay.py - ADDRESS PORT MILLISECONDS")
