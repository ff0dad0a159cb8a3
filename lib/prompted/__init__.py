"""Tools and structured output for upstreams that have none of their own.

`encode` writes tools and history into the prompt, `parse` reads calls out of the text, `wrap` joins both around an
upstream. `policy` enforces `tool_choice` and `parallel_tool_calls` over any upstream, `structured` a JSON schema.
Pure: no IO and no clock; the wrappers await nothing but the upstream that they were given.
"""
