"""The table of hostile input, row by row, and the tests of each. A test is `file::name`, below `tests/`."""

from __future__ import annotations

from collections.abc import Mapping

ROWS: Mapping[str, tuple[str, ...]] = {
    "Authorization": (
        "web/test_auth.py::test_hostile_credentials_are_refused_quickly_and_told_to_nobody",
        "web/test_auth.py::test_anything_but_one_well_formed_known_bearer_is_refused",
        "web/test_auth.py::test_a_jwt_without_the_prefix_is_refused_with_a_hint",
        "hostile/test_credentials.py::test_no_endpoint_is_open",
        "hostile/test_credentials.py::test_bytes_that_are_no_header_are_refused_by_somebody",
        "web/test_auth_any.py::test_any_headers_are_a_caller_or_a_refusal",
    ),
    "Prefix passthrough": (
        "web/test_auth.py::test_blank_and_short_prefixes_switch_nothing_on",
        "web/test_auth.py::test_a_malformed_passthrough_token_is_refused",
        "web/test_auth.py::test_the_longest_prefix_wins",
        "web/test_auth.py::test_an_exact_local_key_wins_over_a_prefix_that_it_begins_with",
        "settings/test_model.py::test_a_malformed_value_is_named_but_not_shown",
        "hostile/test_credentials.py::test_no_endpoint_is_open",
    ),
    "Other credential headers": (
        "web/test_auth.py::test_other_credential_headers_follow_the_same_rule",
        "web/test_auth.py::test_credentials_are_refused_when_absent_doubled_or_contradictory",
        "hostile/test_credentials.py::test_no_endpoint_is_open",
    ),
    "Routing": (
        "web/test_gate.py::test_paths_are_decided_on_the_path_alone",
        "web/test_gate.py::test_a_wrong_method_is_a_405_in_openai_shape",
        "hostile/test_routing.py::test_every_method_is_answered_everywhere",
        "hostile/test_routing.py::test_no_header_changes_the_method",
        "hostile/test_routing.py::test_no_header_changes_the_path_or_comes_back",
        "hostile/test_routing.py::test_paths_that_lead_nowhere_are_a_404",
    ),
    "JSON": (
        "hostile/test_json.py::test_what_is_no_json_object_is_refused",
        "hostile/test_json.py::test_odd_bodies_do_no_harm",
        "hostile/test_json.py::test_a_wrong_type_in_any_field_is_refused_by_its_name",
        "hostile/test_json.py::test_stream_is_a_boolean",
        "hostile/test_json.py::test_odd_conversations_are_refused",
        "hostile/test_json.py::test_odd_contents_are_refused",
        "hostile/test_json.py::test_empty_contents_do_no_harm",
        "hostile/test_json.py::test_counts_out_of_bounds_are_refused",
        "hostile/test_json.py::test_a_hundred_thousand_messages_do_not_hold_the_gateway_up",
        "hostile/test_json.py::test_texts_of_4_mb_do_not_hold_the_gateway_up",
        "web/test_schemathesis.py::test_every_answer_is_as_documented",
    ),
    "Content parts": (
        "journeys/test_reading.py::test_picture_that_is_none_of_the_public_web_is_refused",
        "journeys/test_reading.py::test_picture_is_handed_on_unfetched_and_undecoded",
        "journeys/test_reading.py::test_page_that_is_not_public_is_mentioned_and_not_read",
        "upstreams/test_addresses.py::test_address_that_is_not_public",
    ),
    "Multipart": (
        "hostile/test_bodies.py::test_broken_forms_are_refused",
        "hostile/test_bodies.py::test_recordings_need_a_file",
        "hostile/test_bodies.py::test_edits_need_pictures_and_not_too_many",
        "hostile/test_bodies.py::test_a_declared_length_of_a_gigabyte_is_refused_before_it_is_sent",
        "hostile/test_bodies.py::test_lengths_that_are_none_are_refused",
    ),
    "Compression": (
        "hostile/test_bodies.py::test_a_bomb_ends_at_the_limit",
        "hostile/test_bodies.py::test_unknown_encodings_are_a_415",
        "hostile/test_bodies.py::test_what_is_not_what_its_encoding_says_is_refused",
    ),
    "Tools": (
        "hostile/test_tools.py::test_two_thousand_tools_are_refused",
        "hostile/test_tools.py::test_names_that_cannot_be_called_are_refused",
        "hostile/test_tools.py::test_hostile_schemas_are_answered_or_refused",
        "hostile/test_tools.py::test_a_deep_schema_is_refused_when_it_is_too_deep",
        "hostile/test_tools.py::test_markers_in_a_tools_result_call_nothing",
        "prompted/test_patterns.py::test_no_pattern_backtracks",
        "prompted/test_check.py::test_no_schema_takes_long",
    ),
    "Response splitting": (
        "hostile/test_splitting.py::test_no_field_splits_an_answer",
        "hostile/test_splitting.py::test_unknown_names_that_are_told_split_nothing",
        "hostile/test_splitting.py::test_texts_that_are_quoted_in_events_split_nothing",
        "hostile/test_splitting.py::test_ids_of_calls_split_nothing",
        "hostile/test_splitting.py::test_headers_that_come_back_split_nothing",
    ),
    "Leak scan": (
        "journeys/test_leaks.py::test_faults_keep_secrets",
        "journeys/test_leaks.py::test_small_endpoints_keep_secrets",
        "journeys/test_leaks.py::test_malformed_settings_keep_secrets",
        "settings/test_model.py::test_no_secret_is_shown",
        "web/test_pages.py::test_the_pages_do_not_depend_on_the_settings",
    ),
    "Bundle": (
        "hostile/test_bundle.py::test_no_import_touches_the_network",
        "test_deployment.py::test_every_requirement_is_pinned_with_hashes",
        "tools/test_package.py::test_it_answers_from_a_folder_that_cannot_be_written",
        "api/test_vercel.py::test_nothing_is_written_to_disk",
        "api/test_lambda_streaming.py::test_nothing_is_written_to_disk",
    ),
}
