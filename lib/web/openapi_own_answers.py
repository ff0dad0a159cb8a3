"""What the gateway says of itself: answers that no vendor's reference describes."""

from __future__ import annotations

from collections.abc import Mapping

from lib.web.openapi_shapes import (
    BOOLEAN,
    COUNT,
    EPOCH,
    NUMBER,
    OBJECT,
    STRING,
    TEXT_OR_NULL,
    Schema,
    array,
    constant,
    shape,
)

_MOMENT: Schema = {"type": ["number", "null"], "description": "Seconds since 1970."}
_MAYBE_COUNT: Schema = {"type": ["integer", "null"], "minimum": 0}
_MAYBE_EPOCH: Schema = {"type": ["integer", "null"], "description": "Seconds since 1970."}
_PATTERNS: Schema = {"type": ["array", "null"], "items": STRING}

_SMALL: Mapping[str, Schema] = {
    "AccountCount": shape(count=COUNT, canUseCount=COUNT),
    "Subscription": shape(
        object=constant("billing_subscription"),
        has_payment_method=BOOLEAN,
        soft_limit_usd=NUMBER,
        hard_limit_usd=NUMBER,
        system_hard_limit_usd=NUMBER,
        access_until=EPOCH,
    ),
    "Usage": shape(object=constant("list"), total_usage={"type": "number", "description": "Cents."}),
    "Setup": {
        "description": "Without `client` the list of clients, with it the configuration of one.",
        "anyOf": [
            shape(object=constant("list"), data=array(shape(client=STRING, name=STRING))),
            shape(
                client=STRING,
                name=STRING,
                files=array(shape(path=STRING, content=STRING)),
                environment={"type": "object", "additionalProperties": STRING},
                notes=array(STRING),
            ),
        ],
    },
    "Pong": shape(message=constant("pong")),
    "Health": shape(status=constant("ok")),
}

_OPERATORS: Mapping[str, Schema] = {
    "ScopedKey": shape(
        "A new key with its limits; `null` limits nothing. The key is in this answer and nowhere else.",
        object=constant("gateway.key"),
        id={"type": "string", "description": "What the log calls it, and what revokes it (`REVOKED_KEYS`)."},
        key=STRING,
        models=_PATTERNS,
        endpoints=_PATTERNS,
        expires_at=_MAYBE_EPOCH,
        not_before=_MAYBE_EPOCH,
        label=TEXT_OR_NULL,
        requests_per_minute=_MAYBE_COUNT,
    ),
    "Doctor": shape(
        "",
        object=constant("gateway.doctor"),
        ok={"type": "boolean", "description": "Whether there is no problem; warnings are none."},
        checks=array(
            shape(
                name=STRING,
                status=constant("ok", "warning", "problem", "unknown"),
                found=STRING,
                advice={"type": "string", "description": "What to do about it; empty where nothing is to be done."},
            )
        ),
        max_request_bytes=COUNT,
    ),
    "DoctorEvent": shape("One of a few, with pauses between them.", number=COUNT, of=COUNT),
    "Status": shape(
        "What `/admin` shows. No value of it is a secret.",
        now=NUMBER,
        settings=array(
            shape(
                "One for each variable.",
                {
                    "has_problem": BOOLEAN,
                    "slots": {**array(STRING), "description": "Hashes of the credentials in it."},
                },
                variable=STRING,
                state={"type": "string", "description": "`set`, `default`, `unset` or `unusable`."},
            )
        ),
        problems=array(shape(variable=STRING, problem=STRING)),
        upstreams=array(shape("", {"tools": STRING}, name=STRING, host=TEXT_OR_NULL)),
        accounts=array(
            shape(
                name={"type": "string", "description": "Slot and short hash, as in the log."},
                upstream=STRING,
                state=constant("ready", "resting", "refused", "expired"),
                plan=TEXT_OR_NULL,
                expires_at=_MOMENT,
                resting_until=_MOMENT,
                last_error=TEXT_OR_NULL,
                windows=array(shape(bucket=STRING, used_percent=NUMBER, window_minutes=_MAYBE_COUNT, reset_at=_MOMENT)),
                has_proxy=BOOLEAN,
                is_renewed=BOOLEAN,
            )
        ),
        instance=shape(
            platform=constant("vercel", "lambda", "server"),
            region=TEXT_OR_NULL,
            revision=TEXT_OR_NULL,
            bundle=TEXT_OR_NULL,
            python=STRING,
            machine=STRING,
            cold_start_ms=_MAYBE_COUNT,
            uptime_s=NUMBER,
            memory_bytes=_MAYBE_COUNT,
            requests={**OBJECT, "additionalProperties": COUNT, "description": "How many, by the status of the answer."},
        ),
        endpoints={**array(STRING), "description": "Paths that this deployment has beside the usual ones."},
    ),
}

OWN_ANSWERS: Mapping[str, Schema] = {**_SMALL, **_OPERATORS}
"""By name, for the document's `components`."""
