"""Judges signed messages with dkimpy: each must have one good signature of either kind, and what is
tampered with must have none. Arguments: a file with a line `name record` for each key, messages."""

import sys

import dkim

records = dict(line.rstrip("\n").split(" ", 1) for line in open(sys.argv[1]))


def record(name, timeout=5):
    return records[name.decode().rstrip(".")].encode()


def judge(message):
    """Whether each signature holds, from the top."""
    count = message.lower().count(b"dkim-signature:")
    verdicts = []
    for index in range(count):
        try:
            verdicts.append(dkim.DKIM(message).verify(idx=index, dnsfunc=record))
        except dkim.DKIMException:
            verdicts.append(False)
    return verdicts


def tampered(message):
    """The message with something changed, in ways that a signature must not let pass."""
    head, body = message.split(b"\r\n\r\n", 1)
    yield head + b"\r\n\r\nAn advertisement.\r\n" + body
    yield head + b"\r\n\r\n" + body + b"An advertisement.\r\n"
    yield head.replace(b"\nSubject:", b"\nSubject: Re:", 1) + b"\r\n\r\n" + body
    for field in b"From: x@evil.example", b"Subject: x", b"Reply-To: x@evil.example", b"Cc: x@y":
        # Below the signatures, where a verifier looks first, and above, where readers do.
        yield head + b"\r\n" + field + b"\r\n\r\n" + body
        yield field + b"\r\n" + message


for path in sys.argv[2:]:
    message = open(path, "rb").read()
    assert judge(message) == [True, True], f"{path}: {judge(message)}\n{message!r}"
    for changed in tampered(message):
        assert changed != message
        assert judge(changed) == [False, False], f"{path} changed: {changed!r}"
