"""Reads reports with Python's email package and with flufl.bounce: what is found must be what was
meant. Usage: reports.py expected.json"""

import email
import email.policy
import json
import sys

from flufl.bounce import all_failures


def fields(text):
    """The groups of fields of a delivery status, unfolded."""
    groups = []
    for group in text.replace("\r\n", "\n").strip("\n").split("\n\n"):
        parsed = email.message_from_string(group + "\n\n", policy=email.policy.default)
        groups.append({name.lower(): str(value) for name, value in parsed.items()})
    return groups


def address(value):
    kind, _, rest = value.partition(";")
    return kind.strip(), rest.strip()


def check_wire(octets):
    for line in octets.split(b"\r\n"):
        assert len(line) <= 998, f"a line of {len(line)} octets"
        assert b"\n" not in line and b"\r" not in line and b"\0" not in line, line


def status_part(octets, message):
    """The second part as text: Python knows message/delivery-status, not its global sister."""
    boundary = message.get_boundary().encode()
    part = octets.split(b"\r\n--" + boundary)[2]
    header, _, body = part.partition(b"\r\n\r\n")
    return header.decode(), body.decode()


def check(case):
    octets = open(case["file"], "rb").read()
    check_wire(octets)
    message = email.message_from_bytes(octets, policy=email.policy.SMTPUTF8)
    defects = [part.defects for part in message.walk() if part.defects]
    assert not defects, defects
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    assert str(message["To"]).strip("<>") == case["sender"], message["To"]
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["Subject"] and message["Date"].datetime and message["Message-ID"]
    words, status, returned = message.get_payload()
    text = words.get_content()
    for recipient in case["recipients"][:50]:
        assert f"<{recipient['final']}>" in text, text

    header, body = status_part(octets, message)
    beyond = not all(
        (recipient["final"] + (recipient["original"] or "")).isascii()
        for recipient in case["recipients"]
    )
    wanted = "message/global-delivery-status" if beyond else "message/delivery-status"
    assert status.get_content_type() == wanted, status.get_content_type()
    assert beyond or body.isascii()
    about, *groups = fields(body)
    assert address(about["reporting-mta"]) == ("dns", "mail.maily.example")
    assert about.get("original-envelope-id") == case["envid"], about
    assert len(groups) == len(case["recipients"]), groups
    for group, recipient in zip(groups, case["recipients"]):
        kind = "rfc822" if recipient["final"].isascii() else "utf-8"
        assert address(group["final-recipient"]) == (kind, recipient["final"]), group
        if recipient["original"]:
            assert address(group["original-recipient"])[1] == recipient["original"], group
        assert group["action"] == recipient["action"], group
        assert group["status"] == recipient["status"], group
        kind, said = address(group["diagnostic-code"])
        assert (kind == "smtp") == (recipient["code"] is not None), group
        if recipient["code"]:
            assert said.startswith(f"{recipient['code']} "), group
            assert address(group["remote-mta"]) == ("dns", "mx.example.net"), group

    assert returned.get_content_type() == case["returned"], returned.get_content_type()
    original = open(case["message"], "rb").read()
    if case["returned"] == "message/rfc822":
        assert octets.count(original) == 1, "not given back as it was"
    else:
        if case["returned"] == "text/rfc822-headers":
            given = returned.get_payload(decode=True)
        else:
            given = returned.get_payload(0).as_bytes(policy=email.policy.SMTPUTF8)
        given = given.replace(b"\r\n", b"\n").strip(b"\n")
        header = original.partition(b"\r\n\r\n")[0].replace(b"\r\n", b"\n").strip(b"\n")
        assert given == header, (given, header)

    # flufl.bounce knows neither global-delivery-status, nor the address type utf-8, nor literals.
    known = not beyond and not any(
        "[" in recipient["final"] or "\\x{" in (recipient["original"] or "")
        for recipient in case["recipients"]
    )
    if known:
        temporary, permanent = all_failures(message)
        for found, action in [(temporary, "delayed"), (permanent, "failed")]:
            meant = {
                (recipient["original"] or recipient["final"]).encode()
                for recipient in case["recipients"]
                if recipient["action"] == action
            }
            assert set(found) == meant, (action, found, meant)


def main():
    cases = json.load(open(sys.argv[1]))
    wrong = 0
    for case in cases:
        try:
            check(case)
        except Exception as error:
            wrong += 1
            print(f"{case['name']}: {type(error).__name__}: {error}", file=sys.stderr)
    print(f"{len(cases) - wrong} of {len(cases)} reports read as they were meant")
    sys.exit(wrong > 0)


main()
