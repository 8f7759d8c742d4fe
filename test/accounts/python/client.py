"""The public Python client of the account form against a daemon.

Reads a JSON object with url, sid, token, otherSid and service from standard input and prints one
JSON object with what it saw; the test beside it judges.
"""

import json
import sys
from datetime import datetime, timedelta, timezone

from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

given = json.load(sys.stdin)
client = Client(given["sid"], given["token"])
client.api.base_url = given["url"]
TO = "+4915112345678"
FROM = "+49301234567"


def refusal(call):
    try:
        call()
    except TwilioRestException as error:
        return [error.code, error.status]
    raise AssertionError("it was not refused")


def send(**more):
    fields = {"to": TO, "from_": FROM, "body": "hello", **more}
    return client.messages.create(**{key: value for key, value in fields.items() if value})


seen = {}
made = send(body="Hellö → 🎉")
seen["made"] = [made.status, made.body, made.num_segments, made.direction, made.error_code]
fetched = client.messages(made.sid).fetch()
seen["fetched"] = [fetched.sid == made.sid, fetched.body, fetched.from_, fetched.to]
seen["dated"] = abs((datetime.now(timezone.utc) - fetched.date_created).total_seconds()) < 60
seen["deleteEarly"] = refusal(lambda: client.messages(made.sid).delete())

later = send(
    from_=None,
    messaging_service_sid=given["service"],
    schedule_type="fixed",
    send_at=datetime.now(timezone.utc) + timedelta(hours=1),
)
seen["later"] = [later.status, later.messaging_service_sid == given["service"]]
seen["cancelled"] = client.messages(later.sid).update(status="canceled").status
seen["cancelledTwice"] = refusal(lambda: client.messages(later.sid).update(status="canceled"))
redacted = client.messages(later.sid).update(body="")
seen["redacted"] = [redacted.body, redacted.status]
seen["deleted"] = client.messages(later.sid).delete()
seen["gone"] = refusal(lambda: client.messages(later.sid).fetch())

for _ in range(given["paged"] - 1):
    send()
listed = client.messages.list(page_size=50)
seen["listed"] = [len(listed), len({message.sid for message in listed})]
created = [message.date_created for message in listed]
seen["newestFirst"] = created == sorted(created, reverse=True)
seen["limited"] = len(client.messages.list(limit=60, page_size=25))
page = client.messages.page(page_size=100)
first = [message.sid for message in page]
back = page.next_page().previous_page()
seen["back"] = [message.sid for message in back] == first
yesterday = datetime.now(timezone.utc) - timedelta(days=1)
seen["since"] = len(client.messages.list(date_sent_after=yesterday, limit=5))
seen["before"] = len(client.messages.list(date_sent_before=yesterday))
account = client.api.accounts(given["sid"]).fetch()
seen["account"] = [account.friendly_name, account.status]

seen["refused"] = [
    refusal(lambda: send(to="12")),
    refusal(lambda: send(from_=None)),
    refusal(lambda: send(body="x" * 1601)),
    refusal(lambda: send(media_url=["https://x.example/a.png"])),
    refusal(lambda: send(status_callback="nowhere")),
    refusal(client.api.accounts(given["otherSid"]).fetch),
]
wrong = Client(given["sid"], "wrong")
wrong.api.base_url = given["url"]
seen["wrong"] = refusal(wrong.api.accounts(given["sid"]).fetch)
print(json.dumps(seen))
