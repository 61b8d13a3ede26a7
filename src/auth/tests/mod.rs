//! The rules of tokens, each with a token that breaks only that rule, and the rules of key sets.
//!
//! Every rule has a test that fails when the rule is removed. A test of the list checks that the
//! named tests exist. Those of `identity…` are in `tests/`, over real sockets.
//!
//! - one `Authorization` header:
//!   `token::two_headers_are_a_malformed_request_even_when_equal`
//! - `Bearer`:
//!   `token::no_header_or_another_scheme_is_a_missing_token`
//! - at most 8 KiB:
//!   `token::a_token_has_at_most_eight_kibibytes`
//! - `exp` is present and a finite number, with an optional fraction:
//!   `rules::exp_is_required_and_a_finite_number`
//! - `exp` has not passed, within the leeway:
//!   `rules::a_token_expires_when_the_leeway_is_over`
//! - `nbf` and `iat` are not in the future:
//!   `rules::nbf_and_iat_are_numbers_and_not_in_the_future`
//! - `typ`:
//!   `rules::typ_is_absent_or_one_of_two`
//! - no `crit`:
//!   `rules::any_crit_is_refused`
//! - no duplicate claim or header parameter:
//!   `rules::duplicate_claims_and_parameters_are_refused`
//! - `iss`:
//!   `rules::the_issuer_is_exactly_a_configured_one`
//! - valid no longer than the operator accepts:
//!   `lifetimes::a_token_that_is_valid_for_too_long_is_refused`
//! - `aud`, or the claim that is configured instead:
//!   `claims::one_of_the_audiences_must_be_named`
//!   `claims::another_claim_can_name_the_audience`
//! - the user:
//!   `claims::the_user_has_1_to_256_bytes`
//!   `claims::another_claim_can_name_the_user`
//!   `claims::a_dotted_path_leads_to_a_nested_user`
//!   `claims::a_whole_number_is_a_user_and_no_other_number_is`
//! - scopes:
//!   `claims::scopes_come_from_scope_and_scp`
//! - keys of the issuer only, and its algorithms:
//!   `identity_lenient::issuers_with_one_key_set_share_neither_algorithms_nor_tokens`
//!   `rules::a_token_is_verified_with_the_keys_of_its_own_issuer_only`
//! - each algorithm, with its type of key only:
//!   `algorithms::every_algorithm_verifies_with_its_own_type_of_key_only`
//! - never `none`:
//!   `algorithms::none_and_unknown_algorithms_are_refused`
//! - a public key is never an HMAC secret:
//!   `algorithms::a_public_key_is_never_an_hmac_secret`
//! - the operator's list:
//!   `key_sets::the_operator_can_restrict_the_algorithms`
//! - … for fetched keys:
//!   `fetched::only_listed_algorithms_are_allowed_for_fetched_keys`
//!   `identity_misbehaving::a_key_set_must_fit_at_least_one_listed_algorithm`
//! - two names of one algorithm:
//!   `algorithms::ed25519_and_eddsa_name_the_same_algorithm`
//! - a secret has 32 bytes and is no PEM text:
//!   `key_sets::a_secret_has_32_bytes_and_is_no_pem_text`
//! - … and the length of its algorithm's hash:
//!   `weak_keys::the_length_of_a_secret_bounds_its_algorithms`
//!   `weak_keys::a_secret_in_a_key_set_fits_its_alg`
//!   `wrong_identities::each_mistake_in_an_identity_has_its_location_and_help`
//! - `use`, `key_ops`, `kty`:
//!   `key_sets::unsupported_keys_are_skipped`
//!   `key_sets::a_damaged_jwk_makes_the_set_of_a_file_unusable`
//! - `alg` of a key:
//!   `algorithms::a_jwk_with_an_alg_verifies_no_other`
//! - `kid`:
//!   `key_sets::a_key_id_selects_the_key`
//! - … or any, if the key has none:
//!   `lenient::a_key_without_an_id_may_have_made_any_signature`
//! - other spellings of a good key:
//!   `lenient::a_good_key_is_accepted_however_it_is_written`
//!   `identity_lenient::a_set_that_is_written_otherwise_is_used`
//! - … but nothing in doubt:
//!   `lenient::a_key_in_doubt_is_left_out`
//! - no private or weak key:
//!   `weak_keys::a_key_that_proves_nothing_is_refused`
//!   `key_sets::a_private_or_weak_jwk_makes_the_set_of_a_file_unusable`
//! - … nor a shared secret in a fetched set:
//!   `identity_misbehaving::a_bad_key_is_skipped_and_the_good_ones_are_used`
//! - a bad element does not make a fetched set unusable:
//!   `fetched::every_kind_of_bad_element_is_left_out_with_a_warning`
//!   `identity_misbehaving::a_bad_key_is_skipped_and_the_good_ones_are_used`
//! - fetched at start:
//!   `identity::keys_are_found_by_discovery_or_at_a_configured_url`
//! - … not ready while the provider is down:
//!   `identity::the_gateway_waits_for_a_provider_that_is_down_at_start`
//! - fetched in the background, as old as the headers allow:
//!   `identity::the_provider_sets_how_long_its_keys_are_kept`
//! - … from a minute to a day:
//!   `remote::a_key_set_is_kept_from_a_minute_to_a_day`
//! - kept when a fetch fails:
//!   `identity_misbehaving::after_start_a_misbehaving_provider_leaves_known_keys_in_use`
//! - … until `max_stale`:
//!   `identity::known_keys_are_used_until_they_are_too_old`
//! - … also in the process that takes over from one that knew them:
//!   `passed_keys::passed_keys_verify_tokens_and_are_as_old_as_they_were`
//! - one fetch at a time:
//!   `identity_unknown::a_flood_of_unknown_key_ids_causes_one_fetch`
//!   `identity_unknown::the_first_tokens_of_a_new_key_are_accepted_after_one_fetch`
//! - at most 1 MiB:
//!   `identity_misbehaving::documents_of_up_to_one_mebibyte_are_accepted`
//! - an unknown `kid` requests a fetch, at most every half minute per issuer:
//!   `remote::unknown_ids_request_one_fetch_per_half_minute`
//! - … not counting the one at start, and that starts after the request:
//!   `remote::unknown_ids_request_one_fetch_per_half_minute`
//! - … and no id is unknown before its time:
//!   `unknown_ids::a_new_key_is_accepted_after_the_next_fetch_whatever_was_asked_for_before`
//!   `identity_unknown::a_key_id_asked_for_before_it_is_published_is_accepted_afterwards`
//! - … but not when the fetch failed: a 503:
//!   `identity_misbehaving::after_start_a_misbehaving_provider_leaves_known_keys_in_use`
//!   `identity_unknown::a_failed_fetch_does_not_make_a_key_id_unknown`
//! - a repeated token is verified once:
//!   `cached::a_token_is_verified_once_and_its_times_are_checked_each_time`
//! - … identified by all of its bytes:
//!   `cached::a_token_altered_in_one_byte_is_not_cached`
//! - … until `exp`:
//!   `cache::a_hit_is_checked_against_the_clock_with_the_leeway`
//! - … in bounded memory:
//!   `cache::a_flood_stays_within_bounds_and_keeps_tokens_in_use`
//! - … while its key is in use:
//!   `cache::a_token_is_dropped_with_its_key`
//!   `identity::removing_a_key_rejects_its_verified_tokens`

mod algorithms;
mod best_practices;
mod cached;
mod claims;
mod fetched;
mod key_sets;
mod lenient;
mod lifetimes;
mod passed_keys;
mod random_input;
mod rules;
mod unknown_ids;
mod weak_keys;

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use aws_lc_rs::hmac;
use data_encoding::BASE64URL_NOPAD;
use hyper::{
    HeaderMap,
    header::{AUTHORIZATION, HeaderValue},
};
use serde_json::{Value, json};

use super::{
    AuthRefusal, Authenticator, Caller, IdentitySettings, KeySource, Pseudonymizer,
    key_set::VerificationKeys,
};
use crate::secret::Secret;

const SECRET: &[u8] = b"a secret of the tests, long enough for HMAC with each of its hashes";
const NOW: u64 = 1_800_000_000;
const LEEWAY: u64 = 30;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

fn identity(issuer: &str, keys: VerificationKeys) -> IdentitySettings {
    IdentitySettings {
        issuer: issuer.into(),
        audience: vec!["liveness".into(), "other-name".into()],
        audience_claim: "aud".into(),
        keys: KeySource::Fixed(keys),
        user_claim: "sub".into(),
        max_lifetime: None,
        leeway: Duration::from_secs(LEEWAY),
    }
}

fn authenticator(identities: Vec<IdentitySettings>) -> Authenticator {
    Authenticator::new(
        identities,
        Pseudonymizer::new(&Secret::new("a key of the tests")),
    )
}

fn shared_secret() -> VerificationKeys {
    VerificationKeys::from_secret(&Secret::new(SECRET)).unwrap()
}

fn encode(text: &str) -> String {
    BASE64URL_NOPAD.encode(text.as_bytes())
}

/// A token of exactly these texts, signed with the shared secret.
fn hs256(header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, SECRET),
        signed.as_bytes(),
    );
    format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
}

fn good_claims() -> Value {
    json!({"iss": "https://login", "aud": "liveness", "sub": "alice", "exp": NOW + 60})
}

fn authenticate(authenticator: &Authenticator, token: &str) -> Result<Arc<Caller>, AuthRefusal> {
    let mut headers = HeaderMap::new();
    headers.insert(
        AUTHORIZATION,
        HeaderValue::from_str(&format!("Bearer {token}")).unwrap(),
    );
    at_once(authenticator, &headers, now())
}

/// With keys from the configuration, authentication never waits.
fn at_once(
    authenticator: &Authenticator,
    headers: &HeaderMap,
    now: SystemTime,
) -> Result<Arc<Caller>, AuthRefusal> {
    let future = pin!(authenticator.authenticate(headers, now));
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result.map_err(|rejected| rejected.refusal),
        Poll::Pending => panic!("it waits"),
    }
}

/// The user of the token when these keys verify it. (`Caller` has no `Debug`.)
fn user_with(keys: VerificationKeys, token: &str) -> Result<String, AuthRefusal> {
    let authenticator = authenticator(vec![identity("https://login", keys)]);
    authenticate(&authenticator, token).map(|caller| caller.user.to_string())
}

fn user(token: &str) -> Result<String, AuthRefusal> {
    user_with(shared_secret(), token)
}

#[test]
fn the_listed_tests_exist() {
    let head = include_str!("mod.rs").lines();
    let head = head.take_while(|line| line.starts_with("//!"));
    let count = named_tests(head);
    assert!(count > 40, "{count}");
}

/// Checks that each test exists that these lines name as `file::test`. Returns their number.
fn named_tests<'a>(lines: impl Iterator<Item = &'a str>) -> usize {
    let named = lines.flat_map(|line| line.split('`').filter_map(|part| part.split_once("::")));
    let mut count = 0;
    for (file, test) in named {
        let found = [
            format!("src/auth/tests/{file}.rs"),
            format!("src/auth/{file}.rs"),
            format!("src/auth/{file}/tests.rs"),
            format!("src/config/tests/{file}.rs"),
            format!("tests/gateway/{file}.rs"),
            format!("tests/gateway/{file}/mod.rs"),
        ]
        .into_iter()
        .any(|path| has_test(&format!("{}/{path}", env!("CARGO_MANIFEST_DIR")), test));
        assert!(found, "no test {file}::{test}");
        count += 1;
    }
    count
}

fn has_test(path: &str, test: &str) -> bool {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let Some((before, _)) = text.split_once(&format!("fn {test}()")) else {
        return false;
    };
    let before = before.trim_end_matches("async ").trim_end();
    before.ends_with("#[test]") || before.ends_with("#[tokio::test]")
}
