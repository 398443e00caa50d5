"""A server on aiosmtpd that keeps each message: N.eml octet for octet, N.envelope beside it."""

import asyncio
import os
import sys

from aiosmtpd.smtp import SMTP

host, port, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]


class Keep:
    count = 0

    async def handle_DATA(self, server, session, envelope):
        Keep.count += 1
        path = os.path.join(folder, str(Keep.count))
        options = " ".join(envelope.mail_options)
        with open(path + ".envelope", "w", encoding="utf-8") as out:
            print(envelope.mail_from, options, *envelope.rcpt_tos, sep="\n", file=out)
        with open(path + ".part", "wb") as out:
            out.write(envelope.original_content)
        os.rename(path + ".part", path + ".eml")
        return "250 2.0.0 kept"


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(Keep(), hostname="mx.sink.example", enable_SMTPUTF8=True), host, port
    )
    await server.serve_forever()


asyncio.run(main())
