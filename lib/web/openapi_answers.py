"""What the answers look like, as JSON Schema: by hand, and held against real answers by the tests.

Members that an upstream may add are allowed everywhere; what is `required` here is always there.
"""

from __future__ import annotations

from collections.abc import Mapping

from lib.web.openapi_own_answers import OWN_ANSWERS
from lib.web.openapi_shapes import (
    BOOLEAN,
    COUNT,
    EPOCH,
    INTEGER,
    NUMBER,
    OBJECT,
    STRING,
    TEXT_OR_NULL,
    Schema,
    array,
    constant,
    ref,
    shape,
)

_CHAT_CALL = shape(
    "A call of a function, or of a custom tool.",
    {
        "function": shape(name=STRING, arguments={"type": "string", "description": "JSON."}),
        "custom": shape(name=STRING, input=STRING),
    },
    id=STRING,
    type=constant("function", "custom"),
)
_CITATION = shape(type=constant("url_citation"), url_citation=OBJECT)
_CHAT_USAGE = shape(prompt_tokens=COUNT, completion_tokens=COUNT, total_tokens=COUNT)
_FINISH = constant("stop", "length", "tool_calls", "content_filter", "function_call")
_RESPONSE_STATUS = constant("queued", "in_progress", "completed", "incomplete", "failed", "cancelled")
_MESSAGE_BLOCK = shape(
    "`text`, `thinking`, `tool_use`, `server_tool_use` or `web_search_tool_result`, each with its members.",
    type=STRING,
)
_MESSAGE_USAGE = shape(
    input_tokens=COUNT, output_tokens=COUNT, cache_creation_input_tokens=COUNT, cache_read_input_tokens=COUNT
)

_CHAT: Mapping[str, Schema] = {
    "ChatCompletion": shape(
        "One choice, always.",
        {"service_tier": TEXT_OR_NULL},
        id=STRING,
        object=constant("chat.completion"),
        created=EPOCH,
        model=STRING,
        choices=array(
            shape(
                index=INTEGER,
                message=shape(
                    "",
                    {
                        "annotations": array(_CITATION),
                        "reasoning_content": {"type": "string", "description": "A summary of what the model thought."},
                        "tool_calls": array(_CHAT_CALL),
                        "function_call": shape(name=STRING, arguments=STRING),
                    },
                    role=constant("assistant"),
                    content=TEXT_OR_NULL,
                    refusal=TEXT_OR_NULL,
                ),
                logprobs={"type": ["object", "null"]},
                finish_reason=_FINISH,
            )
        ),
        usage=_CHAT_USAGE,
    ),
    "ChatCompletionChunk": shape(
        'One event of a stream, which ends with `data: [DONE]`. An error in mid-stream is `{"error": …}` instead.',
        {"usage": {"type": ["object", "null"]}, "service_tier": TEXT_OR_NULL},
        id=STRING,
        object=constant("chat.completion.chunk"),
        created=EPOCH,
        model=STRING,
        choices=array(
            shape(index=INTEGER, delta=OBJECT, finish_reason={"anyOf": [_FINISH, {"type": "null"}]}),
        ),
    ),
}

_RESPONSES: Mapping[str, Schema] = {
    "Response": shape(
        "",
        {"usage": {"anyOf": [ref("ResponseUsage"), {"type": "null"}]}, "completed_at": {"type": ["integer", "null"]}},
        id=STRING,
        object=constant("response"),
        created_at=EPOCH,
        status=_RESPONSE_STATUS,
        model=STRING,
        output=array(ref("ResponseItem")),
        error={"anyOf": [shape(code=STRING, message=STRING), {"type": "null"}]},
        incomplete_details={"type": ["object", "null"]},
        instructions={"type": ["string", "array", "null"]},
        metadata=OBJECT,
        parallel_tool_calls=BOOLEAN,
        previous_response_id=TEXT_OR_NULL,
        store=BOOLEAN,
        temperature=NUMBER,
        top_p=NUMBER,
        tool_choice={"type": ["string", "object"]},
        tools=array(shape(type=STRING)),
        text=OBJECT,
        reasoning=OBJECT,
        truncation=TEXT_OR_NULL,
    ),
    "ResponseItem": shape(
        "`message`, `reasoning`, `function_call`, `custom_tool_call`, `web_search_call`, `image_generation_call` or "
        "another item, each with its members.",
        {"status": STRING, "content": array(shape(type=STRING)), "name": STRING, "arguments": STRING},
        id=STRING,
        type=STRING,
    ),
    "DeletedResponse": shape(id=STRING, object=constant("response"), deleted={"const": True}),
    "InputItems": shape(
        object=constant("list"),
        data=array(shape(id=STRING, type=STRING)),
        first_id=TEXT_OR_NULL,
        last_id=TEXT_OR_NULL,
        has_more=BOOLEAN,
    ),
    "ResponseUsage": shape(input_tokens=COUNT, output_tokens=COUNT, total_tokens=COUNT),
    "ResponseEvent": shape(
        "One event of a stream: `response.created` first, `response.completed`, `response.incomplete`, "
        "`response.failed` or `error` last.",
        {"response": ref("Response")},
        type=STRING,
        sequence_number=COUNT,
    ),
}

_MESSAGES: Mapping[str, Schema] = {
    "Message": shape(
        "",
        {"stop_sequence": TEXT_OR_NULL},
        id=STRING,
        type=constant("message"),
        role=constant("assistant"),
        model=STRING,
        content=array(_MESSAGE_BLOCK),
        stop_reason=constant("end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal", None),
        usage=_MESSAGE_USAGE,
    ),
    "MessageEvent": shape(
        "One event of a stream: `message_start` first, `message_stop` or `error` last.",
        {"message": ref("Message"), "index": INTEGER, "delta": OBJECT, "error": OBJECT},
        type=STRING,
    ),
    "TokenCount": shape("An estimate.", input_tokens={"type": "integer", "minimum": 1}),
}

_MODELS: Mapping[str, Schema] = {
    "Model": shape(
        "",
        {"name": STRING, "context_length": COUNT, "architecture": shape(input_modalities=array(STRING))},
        id=STRING,
        object=constant("model"),
        created=EPOCH,
        owned_by=STRING,
    ),
    "ModelList": shape(object=constant("list"), data=array(ref("Model"))),
}

_ERRORS: Mapping[str, Schema] = {
    "Error": shape(
        "",
        error=shape(
            message={"type": "string", "description": "Says what to change."},
            type=STRING,
            param={"type": ["string", "null"], "description": "The parameter that is at fault."},
            code=TEXT_OR_NULL,
        ),
    ),
    "MessagesError": shape("", type=constant("error"), error=shape(type=STRING, message=STRING), request_id=STRING),
}

_MEDIA: Mapping[str, Schema] = {
    "Images": shape(
        "",
        {"usage": OBJECT, "background": STRING, "output_format": STRING, "quality": STRING, "size": STRING},
        created=EPOCH,
        data=array(
            shape("Either `b64_json` or `url`.", {"b64_json": STRING, "url": STRING, "revised_prompt": TEXT_OR_NULL})
        ),
    ),
    "ImageEvent": shape(
        "`image_generation.partial_image` or `image_generation.completed`; for edits, `image_edit.…`.",
        {"b64_json": STRING, "partial_image_index": COUNT, "usage": OBJECT},
        type=STRING,
    ),
    "SpeechEvent": shape(
        "`speech.audio.delta` with a piece of the sound in base64, `speech.audio.done` last.",
        {"audio": STRING, "usage": OBJECT},
        type=STRING,
    ),
    "Transcript": shape("", {"usage": OBJECT, "segments": array(OBJECT), "words": array(OBJECT)}, text=STRING),
    "TranscriptEvent": shape(
        "`transcript.text.delta`, `transcript.text.done` last.", {"delta": STRING, "text": STRING}, type=STRING
    ),
    "Embeddings": shape(
        object=constant("list"),
        data=array(
            shape(
                object=constant("embedding"),
                index=INTEGER,
                embedding={"type": ["array", "string"], "items": NUMBER, "description": "A string if it is base64."},
            )
        ),
        model=STRING,
        usage=shape(prompt_tokens=COUNT, total_tokens=COUNT),
    ),
    "Moderations": shape(
        id=STRING,
        model=STRING,
        results=array(
            shape(
                flagged=BOOLEAN,
                categories={"type": "object", "additionalProperties": {"type": ["boolean", "null"]}},
                category_scores={"type": "object", "additionalProperties": NUMBER},
            )
        ),
    ),
    "Completion": shape(
        "",
        {"usage": {"type": ["object", "null"]}},
        id=STRING,
        object=constant("text_completion"),
        created=EPOCH,
        model=STRING,
        choices=array(shape("", {"finish_reason": TEXT_OR_NULL}, text=STRING, index=INTEGER)),
    ),
}

ANSWERS: Mapping[str, Schema] = {**_CHAT, **_RESPONSES, **_MESSAGES, **_MODELS, **_ERRORS, **_MEDIA, **OWN_ANSWERS}
"""By name, for the document's `components`."""
