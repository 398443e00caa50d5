"""Reads rendered messages with Python's email package: what is found must be what went in.
Usage: messages.py expected.json"""

import email
import email.policy
import email.utils
import json
import re
import sys
from email.header import decode_header, make_header

# Header fields in the order in which they are written; with a list, two more.
FIELDS = ["Date", "From", "To", "Message-ID", "Subject", "X-Odd"]
LIST_FIELDS = ["List-Unsubscribe", "List-Unsubscribe-Post"]
BODY_FIELDS = ["MIME-Version", "Content-Type"]


def check_wire(octets):
    """US-ASCII, lines that end with CRLF and are not too long (RFC 5322 2.1.1)."""
    assert octets.isascii() and octets.endswith(b"\r\n")
    for line in octets.split(b"\r\n"):
        assert len(line) <= 998, f"a line of {len(line)} octets"
        assert b"\n" not in line and b"\r" not in line and b"\0" not in line, line


def lines(text):
    """A text with the line ends of mail and without those at its end."""
    return re.sub("\r\n|\r|\n", "\r\n", text).rstrip("\r\n")


def check_header(case, message, raw):
    fields = FIELDS + (LIST_FIELDS if case["list"] else []) + BODY_FIELDS
    names = message.keys()
    assert names[: len(fields)] == fields, names
    assert set(names[len(fields) :]) <= {"Content-Transfer-Encoding"}, names
    assert message["Subject"] == case["subject"], message["Subject"]
    assert message["X-Odd"] == case["header"], message["X-Odd"]
    for field, name, address in [
        ("From", case["from"], "shop@example.com"),
        ("To", case["to"], "ann@example.net"),
    ]:
        (found,) = message[field].addresses
        assert found.addr_spec == address, found
        # What is new in Python's email leaves a space between encoded-words (against RFC 2047 6.2).
        shown, found = email.utils.parseaddr(raw[field].replace("\r\n", ""))
        assert str(make_header(decode_header(shown))) == name, (field, shown)
        assert found == address, found
    assert message["Message-ID"] == f"<{case['id']}>", message["Message-ID"]
    assert message["Date"].datetime.isoformat() == "2026-11-23T00:06:18+00:00"
    if case["list"]:
        https, mailto = message["List-Unsubscribe"].split(", ")
        assert https.startswith("<https://t.example/u/") and https.endswith(">")
        assert mailto.startswith("<mailto:off@example.com?subject=unsubscribe%20")
        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def check_text(case, kind, part):
    found = part.get_payload(decode=True).decode()
    assert lines(found) == lines(case[kind]), (kind, found[:200])


def check_files(case, parts):
    assert len(parts) == len(case["files"])
    wanted = {(file["name"], file["id"]): file for file in case["files"]}
    for part in parts:
        identifier = (part["Content-ID"] or "").strip("<>")
        file = wanted[part.get_filename() or "", identifier]
        assert part.get_payload(decode=True) == bytes(file["content"])
        assert part.get_content_type() == file["type"].split(";")[0]
        assert part.get_content_disposition() == ("inline" if identifier else "attachment")


def check(case):
    octets = open(case["file"], "rb").read()
    check_wire(octets)
    message = email.message_from_bytes(octets, policy=email.policy.default)
    defects = [part.defects for part in message.walk() if part.defects]
    defects += [value.defects for value in message.values() if getattr(value, "defects", None)]
    assert not defects, defects
    check_header(case, message, email.message_from_bytes(octets))
    leaves = [part for part in message.walk() if not part.is_multipart()]
    texts = [part for part in leaves if part.get_content_disposition() is None]
    kinds = [part.get_content_type() for part in texts]
    # Where there is no text, it is derived from the HTML.
    assert kinds == ["text/plain"] + (["text/html"] if case["html"] else []), kinds
    if case["text"]:
        check_text(case, "text", texts[0])
    if case["html"]:
        check_text(case, "html", texts[1])
    check_files(case, [part for part in leaves if part not in texts])
    shown = [file for file in case["files"] if file["id"] and case["html"]]
    saved = [file for file in case["files"] if file not in shown]
    wanted = ["multipart/mixed"] * bool(saved) + ["multipart/alternative"] * bool(case["html"])
    wanted += ["multipart/related"] * bool(shown)
    found = [part.get_content_type() for part in message.walk() if part.is_multipart()]
    assert found == wanted, (found, wanted)


def main():
    cases = json.load(open(sys.argv[1]))
    wrong = 0
    for case in cases:
        try:
            check(case)
        except Exception as error:
            wrong += 1
            print(f"{case['file']}: {type(error).__name__}: {error}", file=sys.stderr)
    print(f"{len(cases) - wrong} of {len(cases)} messages read as they were meant")
    sys.exit(wrong > 0)


main()
