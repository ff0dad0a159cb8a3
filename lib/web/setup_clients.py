"""What each client has to be told, as templates: `docs/clients.md` has the same lines, and says what was tried.

`@V1@` is the base URL with `/v1`, `@ROOT@` the one without, `@KEY@` the key and `@MODEL@` a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Client:
    """One client."""

    name: str
    files: Mapping[str, str] = field(default_factory=dict)
    """Path → content."""
    environment: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def names_model(self) -> bool:
        """Whether a model stands in it, and not just the names of the vendor whose client it is."""
        return any("@MODEL@" in text for text in (*self.files.values(), *self.environment.values(), *self.notes))

    def filled(self, values: Mapping[str, str]) -> Client:
        """With values in place of the marks."""

        def fill(text: str) -> str:
            for mark, value in values.items():
                text = text.replace(mark, value)
            return text

        return Client(
            self.name,
            {path: fill(content) for path, content in self.files.items()},
            {variable: fill(value) for variable, value in self.environment.items()},
            tuple(map(fill, self.notes)),
        )


_CODEX = """\
model = "@MODEL@"
model_provider = "chat2api"

[model_providers.chat2api]
name = "chat2api"
base_url = "@V1@"
env_key = "CHAT2API_KEY"
wire_api = "responses"
"""

_PYTHON = """\
from openai import OpenAI

client = OpenAI(base_url="@V1@", api_key="@KEY@")
client.responses.create(model="@MODEL@", input="Hello!").output_text
client.chat.completions.create(model="@MODEL@", messages=[{"role": "user", "content": "Hello!"}])
"""

_NODE = """\
import OpenAI from "openai";

const client = new OpenAI({ baseURL: "@V1@", apiKey: "@KEY@" });
for await (const event of await client.responses.create({ model: "@MODEL@", input: "Hello!", stream: true })) {
  if (event.type === "response.output_text.delta") process.stdout.write(event.delta);
}
"""

_AGENTS = """\
from agents import OpenAIResponsesModel, set_tracing_disabled
from openai import AsyncOpenAI

set_tracing_disabled(True)  # traces would go to OpenAI
client = AsyncOpenAI(base_url="@V1@", api_key="@KEY@")
model = OpenAIResponsesModel(model="@MODEL@", openai_client=client)
"""

_AI_SDK = """\
import { createOpenAI } from "@ai-sdk/openai";
import { generateText } from "ai";

const gateway = createOpenAI({ baseURL: "@V1@", apiKey: "@KEY@" });

await generateText({
  model: gateway("@MODEL@"), // the Responses API; gateway.chat("@MODEL@") is Chat Completions
  prompt: "Hello!",
  providerOptions: { openai: { store: false, include: ["reasoning.encrypted_content"] } },
});
"""

_OPENCODE = """\
{
  "$schema": "https://opencode.ai/config.json",
  "model": "chat2api/@MODEL@",
  "small_model": "chat2api/@MODEL@",
  "provider": {
    "chat2api": {
      "npm": "@ai-sdk/openai-compatible",
      "name": "chat2api",
      "options": { "baseURL": "@V1@", "apiKey": "@KEY@" },
      "models": {
        "@MODEL@": {
          "name": "@MODEL@",
          "reasoning": true,
          "attachment": true,
          "tool_call": true,
          "limit": { "context": 272000, "output": 128000 },
          "modalities": { "input": ["text", "image"], "output": ["text"] }
        }
      }
    }
  }
}
"""

_LANGCHAIN = """\
from langchain_openai import ChatOpenAI

model = ChatOpenAI(
    model="@MODEL@",
    base_url="@V1@",
    api_key="@KEY@",
    stream_usage=True,  # with a base_url of one's own, LangChain asks for no token counts unless told to
)
"""

_LITELLM = """\
import litellm

litellm.completion(
    model="openai/@MODEL@",
    api_base="@V1@",
    api_key="@KEY@",
    messages=[{"role": "user", "content": "Hello!"}],
)
"""

_LLM = """\
- model_id: chat2api
  model_name: "@MODEL@"
  api_base: @V1@
  api_key_name: chat2api
  vision: true
  supports_schema: true
  supports_tools: true
  reasoning: true
"""

_ANTHROPIC = """\
import anthropic

client = anthropic.Anthropic(api_key="@KEY@", base_url="@ROOT@")
client.messages.create(model="claude-opus-4-8", max_tokens=1000, messages=[{"role": "user", "content": "Hi"}])
"""

_CURL = """\
curl -N "@V1@/chat/completions" \\
  -H "Authorization: Bearer @KEY@" -H "Content-Type: application/json" \\
  -d '{"model": "@MODEL@", "stream": true, "messages": [{"role": "user", "content": "Hello!"}]}'
"""

_IN_THE_ENVIRONMENT = "`OPENAI_BASE_URL` and `OPENAI_API_KEY` in the environment do the same."

CLIENTS: Mapping[str, Client] = {
    "codex": Client(
        "Codex CLI",
        {"~/.codex/config.toml": _CODEX},
        {"CHAT2API_KEY": "@KEY@"},
        ("Leave supports_websockets out: there are no WebSockets here.",),
    ),
    "claude-code": Client(
        "Claude Code",
        environment={
            "ANTHROPIC_BASE_URL": "@ROOT@",
            "ANTHROPIC_AUTH_TOKEN": "@KEY@",
            "CLAUDE_CODE_AUTO_COMPACT_WINDOW": "250000",
        },
        notes=(
            "The base URL has no /v1 here.",
            "Set ANTHROPIC_AUTH_TOKEN or ANTHROPIC_API_KEY, not both with different values.",
            "The operator's MODEL_MAP says what the names of Claude models stand for.",
        ),
    ),
    "opencode": Client(
        "opencode",
        {"~/.config/opencode/opencode.json": _OPENCODE},
        notes=("An opencode.json in the project does the same.", 'Over Responses: "npm": "@ai-sdk/openai".'),
    ),
    "openai-python": Client("openai-python", {"example.py": _PYTHON}, notes=(_IN_THE_ENVIRONMENT,)),
    "openai-node": Client("openai-node", {"example.ts": _NODE}, notes=(_IN_THE_ENVIRONMENT,)),
    "openai-agents": Client("OpenAI Agents SDK", {"example.py": _AGENTS}),
    "ai-sdk": Client("AI SDK", {"example.ts": _AI_SDK}),
    "langchain": Client(
        "LangChain", {"example.py": _LANGCHAIN}, notes=("@langchain/openai: configuration: { baseURL: … } and apiKey.",)
    ),
    "litellm": Client("LiteLLM", {"example.py": _LITELLM}),
    "anthropic-python": Client(
        "anthropic-python", {"example.py": _ANTHROPIC}, notes=("The base URL has no /v1 here.",)
    ),
    "llm": Client(
        "llm",
        {"extra-openai-models.yaml": _LLM},
        notes=(
            'The file belongs into the folder that `dirname "$(llm logs path)"` prints.',
            "llm keys set chat2api",
            'llm -m chat2api "Hello!"',
        ),
    ),
    "open-webui": Client(
        "Open WebUI",
        environment={"OPENAI_API_BASE_URL": "@V1@", "OPENAI_API_KEY": "@KEY@", "ENABLE_OLLAMA_API": "False"},
        notes=("These variables count at the first start only; later it is Admin Settings, Connections, OpenAI API.",),
    ),
    "nextchat": Client(
        "NextChat",
        environment={"BASE_URL": "@ROOT@", "OPENAI_API_KEY": "@KEY@", "CUSTOM_MODELS": "-all,+@MODEL@"},
        notes=("BASE_URL has no /v1: it is added.", "Or the same under Settings, Custom Endpoint."),
    ),
    "lobechat": Client(
        "LobeChat",
        environment={"OPENAI_PROXY_URL": "@V1@", "OPENAI_API_KEY": "@KEY@", "OPENAI_MODEL_LIST": "-all,+@MODEL@"},
        notes=('Leave "Responses API" off when tools are used.',),
    ),
    "cherry-studio": Client(
        "Cherry Studio",
        notes=(
            "Settings, Model Provider, Add: type OpenAI, API host `@ROOT@` (it adds `/v1`), key `@KEY@`; "
            "then Manage lists the models",
        ),
    ),
    "chatbox": Client(
        "Chatbox",
        notes=(
            "Settings, Model Provider, Add: OpenAI API compatible, API host `@V1@`, key `@KEY@`; "
            "then Fetch lists the models",
        ),
    ),
    "curl": Client("curl", {"request.sh": _CURL}),
}
"""By the name that GET /v1/setup knows them by."""
