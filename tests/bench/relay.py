#!/usr/bin/env python3
"""relay.py PORT TO MILLISECONDS: passes connections to PORT on to the same address's port TO, as over a link with that round trip."""

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


async def pass_on(reader, writer, port, delay):
    """One connection. Making it takes a round trip too."""
    await asyncio.sleep(2 * delay)
    there = await asyncio.open_connection(writer.get_extra_info("sockname")[0], port)
    await asyncio.gather(pump(reader, there[1], delay), pump(there[0], writer, delay), return_exceptions=True)


async def main():
    port, to, milliseconds = map(int, sys.argv[1:])
    server = await asyncio.start_server(lambda *streams: pass_on(*streams, to, milliseconds / 2000), "0.0.0.0", port, backlog=1000)
    await server.serve_forever()


asyncio.run(main())
