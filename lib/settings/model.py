"""Every setting with its default. `.env.example` documents the variables for operators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, ModelWrapValidatorHandler, PrivateAttr, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from lib.settings import accounts, keys, references, state, upstreams, values
from lib.settings.accounts import AccountConfig
from lib.settings.reading import Reading
from lib.settings.sources import FILE_ACCOUNTS, ConfigFile
from lib.settings.values import Problem

Secrets = Annotated[tuple[SecretStr, ...], values.secrets]
Prefixes = Annotated[tuple[SecretStr, ...], values.prefixes]
Accounts = Annotated[tuple[AccountConfig, ...], accounts.parse]
KeySecrets = Annotated[tuple[SecretStr, ...], keys.key_secrets]
KeyPairs = Annotated[tuple[tuple[str, SecretStr], ...], upstreams.key_pairs]
ModelMap = Annotated[tuple[tuple[str, str], ...], values.model_map]
Seconds = Annotated[float, values.seconds]
Pause = Annotated[float, values.pause]
Size = Annotated[int, values.size]

# Where requests go and by which way. A default instead of an unusable value would send credentials somewhere else
# than the operator asked for.
_WAYS = ("chatgpt_base_url", "proxy", "token_url", "openai_base_url", "signed_base_url")

# What may be a reference (`ssm:/name`) instead of a secret, and what may be a list of them.
_SECRETS = ("proxy", "key_b", "state_url")
_SECRET_LISTS = (
    "auth_tokens",
    "access_token_prefix",
    "access_token_prefixes",
    "chatgpt_access_tokens",
    "chatgpt_accounts",
    "chatgpts",
    "openai_api_key",
    "key_pairs",
    "key_secret",
)


class Settings(BaseSettings):
    """The environment, a `.env` file in the working directory below it, the YAML file of VERCEL_CONFIG_FILE below both.

    A value that cannot be used never raises: its default stands, or what is usable of a list, and `problems` says
    what is wrong. An unusable CHATGPT_BASE_URL or PROXY is not replaced; see `misdirected`. The metadata of a field's
    type is its parser.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        enable_decoding=False,  # the parsers decode, and forgive more than json.loads
        env_ignore_empty=True,
        env_file=".env",
        env_file_encoding="utf-8-sig",
        dotenv_filtering="only_existing",
    )

    auth_tokens: Secrets = ()
    access_token_prefix: Prefixes = ()
    access_token_prefixes: Prefixes = ()
    key_secret: KeySecrets = ()
    """What scoped keys are minted from: the first one; keys from the others are still accepted."""
    revoked_keys: Annotated[tuple[str, ...], keys.key_ids] = ()
    """Ids of scoped keys."""
    public_url: Annotated[str | None, values.base_url] = None
    """Where clients find the gateway; None: where they say that they do."""

    chatgpt_access_tokens: Secrets = ()
    chatgpt_accounts: Accounts = Field(default=(), repr=False, exclude=True)

    chatgpt_base_url: Annotated[str | None, values.base_url] = "https://chatgpt.com"
    """None: the variable is set but unusable."""
    proxy: Annotated[SecretStr | None, values.proxy] = None
    chatgpt_tools: Annotated[str, values.tools] = "native"
    """native, prompted or off."""
    codex_client_version: Annotated[str, values.version] = "0.160.0"

    token_refresh: Annotated[str, upstreams.token_refresh] = "auto"  # noqa: S105 - no token
    """auto, on or off."""
    token_url: Annotated[str | None, values.base_url] = "https://auth.openai.com/oauth/token"  # noqa: S105 - no token
    """None: the variable is set but unusable."""

    openai_api_key: Secrets = ()
    openai_base_url: Annotated[str | None, values.base_url] = None
    openai_wire: Annotated[str | None, upstreams.wire] = None
    """responses or chat; None: what suits the address."""
    openai_tools: Annotated[str, values.tools] = "native"
    openai_image_input: Annotated[str, upstreams.image_input] = "any"
    """any, or url: pictures are taken by address alone."""
    key_a: Annotated[str | None, upstreams.key_id] = None
    key_b: Annotated[SecretStr | None, upstreams.secret] = None
    user_agent: Annotated[str, upstreams.user_agent] = "chat2api"
    signed_base_url: Annotated[str | None, values.base_url] = None
    key_pairs: KeyPairs = ()
    """(id, secret) of those who may sign their requests to this gateway."""

    image_model: Annotated[str, values.name] = "gpt-image-2"
    """For pictures on ChatGPT accounts when the caller names no model."""
    image_bucket: Annotated[tuple[str, str] | None, upstreams.bucket] = None
    """(bucket, prefix)"""
    image_url_life_s: Seconds = 3600.0
    read_urls: Annotated[bool, values.switch] = False

    state_url: Annotated[SecretStr | None, state.state_url] = None
    """The shared store; None: memory."""
    responses_life_s: Annotated[float, values.life] = 30 * 86_400.0
    """How long the shared store keeps a response; 0: none is kept."""

    default_model: Annotated[str | None, values.name] = None
    model_map: ModelMap = ()
    """(pattern, name) pairs; each pattern once."""
    strict_parameters: Annotated[bool, values.switch] = False

    log_level: Annotated[str, values.log_level] = "INFO"
    log_format: Annotated[str, values.log_format] = "logfmt"
    vercel_config_file: Annotated[str | None, values.path] = Field(default=None, repr=False, exclude=True)

    connect_timeout_s: Seconds = 10.0
    first_byte_timeout_s: Seconds = 60.0
    idle_timeout_s: Seconds = 120.0
    failover_budget_s: Seconds = 120.0
    keep_alive_s: Seconds = 10.0
    commit_wait_s: Pause = 1.0
    models_cache_s: Pause = 300.0
    usage_max_age_s: Pause = 900.0
    """How old what is known of an account's usage windows may be; 0: of any age, they are not asked for."""
    max_duration_s: Annotated[float | None, values.seconds] = None
    """None: what the platform says."""
    deadline_margin_s: Pause = 3.0
    max_attempts: Annotated[int, values.count] = 3
    max_request_bytes: Annotated[int | None, values.size] = None
    """None: what the platform takes."""
    max_event_bytes: Size = 64 * 1024 * 1024

    _accounts: tuple[AccountConfig, ...] = PrivateAttr(default=())
    _problems: tuple[Problem, ...] = PrivateAttr(default=())
    _misdirected: Mapping[str, Problem] = PrivateAttr(default_factory=dict)

    def __init__(self, **given: Any) -> None:
        """`given` wins over the environment, in the same forms; `_env_file=None` leaves the `.env` file alone."""
        try:
            super().__init__(**given)
        except (OSError, UnicodeError):  # only reading the .env file raises these
            problem = Problem(".env", "the file cannot be read as UTF-8 text")
            super().__init__(**{**given, "_env_file": None, "env_file_problem": problem})

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the environment. Safe to log."""
        return self._problems

    @property
    def accounts(self) -> tuple[AccountConfig, ...]:
        """The pool: bare tokens, then CHATGPT_ACCOUNTS, then the file's; each token once."""
        return self._accounts

    @property
    def gateway_keys(self) -> tuple[str, ...]:
        """AUTH_TOKENS in plain text."""
        return tuple(secret.get_secret_value() for secret in self.auth_tokens)

    @property
    def key_secrets(self) -> tuple[bytes, ...]:
        """KEY_SECRET as it is used: the first one for new keys."""
        return tuple(secret.get_secret_value().encode() for secret in self.key_secret)

    @property
    def private_prefixes(self) -> tuple[str, ...]:
        """The passthrough prefixes in plain text, the longest first."""
        secrets = {secret.get_secret_value() for secret in self.access_token_prefix + self.access_token_prefixes}
        return tuple(sorted(secrets, key=lambda prefix: (-len(prefix), prefix)))

    @property
    def proxy_url(self) -> str | None:
        """PROXY in plain text."""
        return self.proxy.get_secret_value() if self.proxy else None

    @property
    def misdirected(self) -> Mapping[str, Problem]:
        """Field → why no request may go that way (503): an upstream's address, or the proxy, is set but unusable."""
        return self._misdirected

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, dotenv_settings, ConfigFile(settings_cls, {})

    @model_validator(mode="wrap")
    @classmethod
    def _forgiving(cls, raw: dict[str, Any], handler: ModelWrapValidatorHandler[Self]) -> Self:
        reading = Reading(references.resolved(raw, singles=_SECRETS, lists=_SECRET_LISTS))
        fields: dict[str, Any] = {}
        for name, field in cls.model_fields.items():
            value = reading.take(name, field.metadata[0])
            if value is not None or (name in _WAYS and name in reading.unusable):
                fields[name] = value
        of_file = reading.take("chatgpts", accounts.parse) or ()
        settings = handler(fields | reading.rest())
        bare = [AccountConfig(secret.get_secret_value()) for secret in settings.chatgpt_access_tokens]
        settings._accounts, repeats = accounts.joined(
            [("CHATGPT_ACCESS_TOKENS", bare), ("CHATGPT_ACCOUNTS", settings.chatgpt_accounts), (FILE_ACCOUNTS, of_file)]
        )
        for place in repeats:
            reading.add(place, "a token that was given before is repeated")
        settings._problems = tuple(reading.problems)
        settings._misdirected = {name: reading.unusable[name] for name in _WAYS if name in reading.unusable}
        return settings
