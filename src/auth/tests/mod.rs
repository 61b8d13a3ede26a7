//! The rules of a token, each with a token that breaks only that rule; and what a key set takes in.
//!
//! Every rule has a test that fails when the rule is taken out. `identity…` stand in `tests/`, over real sockets.
//!
//! | rule | test |
//! |---|---|
//! | one `Authorization` header | `bearer::two_headers_are_a_malformed_request_even_when_equal` |
//! | `Bearer` | `bearer::nothing_or_another_scheme_is_a_missing_token` |
//! | 8 KiB at the most | `bearer::eight_kibibytes_are_the_limit` |
//! | `exp` is there, a finite number, and may have a fraction | `rules::exp_is_required_and_a_finite_number` |
//! | `exp` has not passed, within the leeway | `rules::exp_has_passed_when_the_leeway_is_over` |
//! | `nbf` and `iat` do not lie ahead | `rules::nbf_and_iat_are_numbers_and_do_not_lie_ahead` |
//! | `typ` | `rules::typ_is_absent_or_one_of_two` |
//! | no `crit` | `rules::any_crit_is_refused` |
//! | no claim or header name twice | `rules::nothing_is_given_twice` |
//! | `iss` | `rules::the_issuer_is_one_of_the_configured_exactly` |
//! | `aud` | `rules::one_of_the_audiences_must_be_named` |
//! | the user | `rules::the_user_is_a_text_of_1_to_256_bytes`, `rules::another_claim_can_name_the_user` |
//! | scopes | `rules::scopes_come_from_scope_and_scp` |
//! | keys of the issuer alone | `rules::a_token_is_checked_with_the_keys_of_its_own_issuer_alone` |
//! | each algorithm, with its type of key only | `algorithms::every_algorithm_verifies_with_its_own_kind_of_key_only` |
//! | never `none` | `algorithms::none_and_unknown_names_are_refused` |
//! | a public key is no HMAC secret | `algorithms::a_public_key_is_never_an_hmac_secret` |
//! | the operator's list | `key_sets::the_operator_can_restrict_the_algorithms` |
//! | … for fetched keys | `published::of_what_fits_a_key_only_what_the_operator_lists_is_allowed`, `identity_misbehaving::an_algorithm_without_a_key_is_a_remark_and_none_with_a_key_a_failure` |
//! | a secret has 32 bytes and is no PEM | `key_sets::secrets_have_32_bytes_and_are_no_pem`, `wrong_identities::what_is_wrong_with_identities` |
//! | `use`, `key_ops`, `kty` | `key_sets::keys_for_something_else_are_passed_over`, `key_sets::damaged_jwks_stop_the_set` |
//! | `alg` of a key | `algorithms::the_alg_of_a_jwk_is_the_only_one_it_verifies` |
//! | `kid` | `key_sets::a_key_id_chooses_the_key` |
//! | no private or weak key | `key_sets::private_and_weak_jwks_stop_the_set` |
//! | … nor a shared secret in a fetched set | `identity_misbehaving::a_bad_key_is_left_out_and_the_good_ones_serve` |
//! | fetched at start | `identity::keys_are_found_by_discovery_or_at_their_address` |
//! | … by a provider that is down: not ready, until it is up | `identity::a_provider_that_is_down_at_start_makes_the_gateway_wait_for_it` |
//! | fetched in the background, as old as the headers say | `identity::the_provider_says_how_long_its_keys_may_be_kept` |
//! | … from a minute to a day | `remote::a_key_set_is_kept_from_a_minute_to_a_day` |
//! | kept when a fetch fails | `identity_misbehaving::later_the_known_keys_stay_in_use` |
//! | … until `max_stale` | `identity::known_keys_serve_until_they_are_too_old` |
//! | one fetch at a time | `identity_unknown::a_flood_of_unknown_ids_is_one_question`, `identity_unknown::the_first_tokens_of_a_new_key_get_their_answer_by_one_fetch` |
//! | 1 MiB at the most | `identity_misbehaving::a_document_may_have_one_mebibyte` |
//! | an unknown `kid` asks, every half minute for each issuer, the start aside | `remote::a_fetch_is_asked_for_every_half_minute_whatever_ids_come` |
//! | … for a fetch that begins later | `remote::a_fetch_is_asked_for_every_half_minute_whatever_ids_come` |
//! | … and is remembered as unknown | `identity_unknown::an_id_that_no_fetch_brought_stays_unknown_and_others_may_ask` |
//! | … but not when the fetch failed: a 503 | `identity_misbehaving::later_the_known_keys_stay_in_use`, `identity_unknown::a_fetch_that_failed_makes_no_id_unknown` |
//! | a token that comes again is verified once | `again::a_token_is_verified_once_and_judged_by_the_clock_each_time` |
//! | … known by all of its bytes | `again::a_token_altered_in_one_byte_is_none_that_is_known` |
//! | … until `exp` | `cache::a_hit_is_held_against_the_clock_with_the_leeway_of_the_rule` |
//! | … in bounded memory | `cache::a_flood_stays_within_bounds_and_leaves_what_is_in_use` |
//! | … as long as its key is there | `cache::a_token_goes_with_its_key`, `identity::a_key_that_goes_takes_its_verified_tokens_along` |

mod again;
mod algorithms;
mod hostile;
mod key_sets;
mod published;
mod rules;

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

const SECRET: &[u8] = b"a secret of the tests, long enough for HMAC";
const NOW: u64 = 1_800_000_000;
const LEEWAY: u64 = 30;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

fn identity(issuer: &str, keys: VerificationKeys) -> IdentitySettings {
    IdentitySettings {
        issuer: issuer.into(),
        audience: vec!["liveness".into(), "other-name".into()],
        keys: KeySource::Fixed(keys),
        user_claim: "sub".into(),
        leeway: Duration::from_secs(LEEWAY),
    }
}

fn gate(identities: Vec<IdentitySettings>) -> Authenticator {
    Authenticator::new(
        identities,
        Pseudonymizer::new(&Secret::new("a key of the tests")),
    )
}

fn shared() -> VerificationKeys {
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

fn ask(authenticator: &Authenticator, token: &str) -> Result<Arc<Caller>, AuthRefusal> {
    let mut headers = HeaderMap::new();
    headers.insert(
        AUTHORIZATION,
        HeaderValue::from_str(&format!("Bearer {token}")).unwrap(),
    );
    at_once(authenticator, &headers, now())
}

/// With keys from the configuration nothing is ever waited for.
fn at_once(
    authenticator: &Authenticator,
    headers: &HeaderMap,
    now: SystemTime,
) -> Result<Arc<Caller>, AuthRefusal> {
    let asked = pin!(authenticator.authenticate(headers, now));
    match asked.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("it waits"),
    }
}

/// The user that a key set gives for the token, or the refusal. (`Caller` has no `Debug`.)
fn user_with(keys: VerificationKeys, token: &str) -> Result<String, AuthRefusal> {
    let authenticator = gate(vec![identity("https://login", keys)]);
    ask(&authenticator, token).map(|caller| caller.user.to_string())
}

fn user(token: &str) -> Result<String, AuthRefusal> {
    user_with(shared(), token)
}

#[test]
fn the_tests_of_the_table_exist() {
    let rows = include_str!("mod.rs").lines();
    let rows = rows.filter(|line| line.starts_with("//! | "));
    let cells = rows.filter_map(|row| row.split(" | ").nth(2));
    let named = cells.flat_map(|cell| cell.split('`').filter_map(|part| part.split_once("::")));
    let mut count = 0;
    for (file, test) in named {
        let folders = [
            "src/auth/tests",
            "src/auth",
            "src/config/tests",
            "tests/gateway",
        ];
        let files =
            folders.map(|folder| format!("{}/{folder}/{file}.rs", env!("CARGO_MANIFEST_DIR")));
        let text = files.iter().find_map(|it| std::fs::read_to_string(it).ok());
        let text = text.unwrap_or_else(|| panic!("no {file}"));
        let found = text
            .split(&format!("fn {test}()"))
            .next()
            .filter(|before| before.len() < text.len());
        let marked = found.is_some_and(|before| {
            let line = before.trim_end_matches("async ").trim_end();
            line.ends_with("#[test]") || line.ends_with("#[tokio::test]")
        });
        assert!(marked, "no test {file}::{test}");
        count += 1;
    }
    assert!(count > 40, "{count}");
}
