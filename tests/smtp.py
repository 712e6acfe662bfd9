"""A mail server for tests: PORT FOLDER MODE CERT KEY. Each mail that it takes becomes a file of
JSON in the folder. MODE is none, starttls, tls or login: starttls with the name `ci` and the
password `hunter2`."""

import asyncio
import json
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

port, folder, mode, cert, key = sys.argv[1:]


class Handler:
    count = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 no such mailbox"
        if address.startswith("later@"):
            return "451 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        Handler.count += 1
        mail = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "text": envelope.content.decode(),
            "encrypted": mode == "tls" or session.ssl is not None,
            "login": bool(session.authenticated),
        }
        path = os.path.join(folder, f"{Handler.count:04}.json")
        with open(path + ".part", "w") as file:
            json.dump(mail, file)
        os.rename(path + ".part", path)
        return "250 taken"


def login(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (b"ci", b"hunter2"), handled=False)


async def main():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    options = {"hostname": "mail.test"}
    if mode in ("starttls", "login"):
        options |= {"tls_context": context, "require_starttls": True}
    if mode == "login":
        options |= {"authenticator": login, "auth_required": True}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(Handler(), **options),
        "127.0.0.1",
        int(port),
        ssl=context if mode == "tls" else None,
    )
    await server.serve_forever()


asyncio.run(main())
