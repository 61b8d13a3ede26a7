//! The forms that proxies write, and what clients write into them.

use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
};
use ipnet::IpNet;
use proptest::prelude::*;

use super::*;

const PEER: &str = "10.0.0.1";
const XFF: &str = "x-forwarded-for";
const RFC: &str = "forwarded";

/// A field of several lines.
fn field(name: &'static str, lines: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        let value = HeaderValue::from_bytes(line.as_bytes()).unwrap();
        headers.append(HeaderName::from_static(name), value);
    }
    headers
}

/// The client that these fields name, if the proxies are in `10.0.0.0/8` and `2001:db8:ffff::/48`.
fn client_of(headers: &HeaderMap) -> String {
    let trusted = ["10.0.0.0/8", "2001:db8:ffff::/48"].map(|it| it.parse::<IpNet>().unwrap());
    client_address(headers, PEER.parse().unwrap(), &trusted).to_string()
}

/// What proxies write: the lines of the field, separated by `~`, and the client they name.
const X_FORWARDED_FOR: &str = r"
nginx, Envoy, Caddy         | 192.0.2.7                        | 192.0.2.7
nginx appends               | 198.51.100.1, 192.0.2.7          | 192.0.2.7
HAProxy adds a line         | 198.51.100.1 ~ 192.0.2.7         | 192.0.2.7
Envoy, without blanks       | 198.51.100.1,192.0.2.7           | 192.0.2.7
two proxies                 | 192.0.2.7, 10.0.0.9, 10.0.0.8    | 192.0.2.7
two proxies, lines          | 192.0.2.7 ~ 10.0.0.9 ~ 10.0.0.8  | 192.0.2.7
AWS ALB, client ports on    | 192.0.2.7:51044                  | 192.0.2.7
AWS ALB, IPv6, ports on     | [2001:db8::1]:8080               | 2001:db8::1
CloudFront, then AWS ALB    | 192.0.2.7, 10.1.1.1              | 192.0.2.7
GCP: client, then balancer  | 6.6.6.6,192.0.2.7,10.9.9.9       | 192.0.2.7
Azure Application Gateway   | 6.6.6.6:1, 192.0.2.7:4711        | 192.0.2.7
Azure Front Door            | 2001:db8::1                      | 2001:db8::1
Alibaba and Tencent CLB     | 192.0.2.7, 10.0.0.9              | 192.0.2.7
Traefik, zone               | fe80::1%eth0                     | fe80::1
IIS, zone and port          | [fe80::1%12]:80                  | fe80::1
dual-stack socket           | ::ffff:192.0.2.7                 | 192.0.2.7
dual-stack, hexadecimal     | [::FFFF:C000:207]:1              | 192.0.2.7
upper case                  | 2001:DB8::A                      | 2001:db8::a
trusted IPv6 hop            | 192.0.2.7, 2001:db8:ffff::5      | 192.0.2.7
trusted IPv4-mapped hop     | 192.0.2.7, ::ffff:10.0.0.9       | 192.0.2.7
blanks                      | 192.0.2.7   ,   10.0.0.9         | 192.0.2.7
empty elements              | ,192.0.2.7,, ,10.0.0.9, ~ ~ ,    | 192.0.2.7
a client inside             | 10.2.2.2, 10.0.0.9               | 10.2.2.2
";

const FORWARDED: &str = r#"
RFC 7239 section 4          | for=192.0.2.60;proto=http;by=203.0.113.43         | 192.0.2.60
two elements                | for=192.0.2.43, for=198.51.100.17                 | 198.51.100.17
IPv6                        | For="[2001:db8:cafe::17]:4711"                    | 2001:db8:cafe::17
IPv6, no port               | for="[2001:db8::1]"                               | 2001:db8::1
port                        | for="192.0.2.43:47011"                            | 192.0.2.43
hidden port                 | for="192.0.2.43:_gazonk"                          | 192.0.2.43
no quotes                   | for=192.0.2.43:47011                              | 192.0.2.43
IPv6, no quotes             | for=[2001:db8::1]:47011                           | 2001:db8::1
IPv6, bare                  | for="2001:db8::1"                                 | 2001:db8::1
HAProxy                     | proto=https;host="a.example";for=192.0.2.7        | 192.0.2.7
AWS API Gateway             | by=3.3.3.3;for=192.0.2.7;host=a.b;proto=https     | 192.0.2.7
upper case                  | BY=unknown;FOR=192.0.2.7;PROTO=https              | 192.0.2.7
blanks                      | for=192.0.2.7 ; proto=http , for=10.0.0.9         | 192.0.2.7
empty pairs                 | ;for=192.0.2.7;;proto=http;                       | 192.0.2.7
empty elements              | , for=192.0.2.7, , ~                              | 192.0.2.7
lines                       | for=6.6.6.6 ~ for=192.0.2.7 ~ for=10.0.0.9        | 192.0.2.7
comma in quotes             | for=192.0.2.7;host="a, for=6.6.6.6"               | 192.0.2.7
escaped quote               | for=192.0.2.7;host="a\", for=6.6.6.6"             | 192.0.2.7
escaped backslash           | host="\\";for=192.0.2.7                           | 192.0.2.7
extension                   | for=192.0.2.7;secret="x;for=6.6.6.6"              | 192.0.2.7
"#;

#[test]
fn both_fields_are_read_in_every_form_that_proxies_write() {
    for (name, table) in [(XFF, X_FORWARDED_FOR), (RFC, FORWARDED)] {
        for row in table.trim().lines() {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            let lines: Vec<_> = cells[1].split('~').collect();
            assert_eq!(client_of(&field(name, &lines)), cells[2], "{name}: {row}");
        }
    }
}

#[test]
fn what_the_client_wrote_on_the_left_changes_nothing() {
    let long = "6.6.6.6, ".repeat(5000);
    for left in [
        "6.6.6.6",
        "unknown",
        "evil\" injected",
        "\"",
        "\\",
        "\u{e9}",
        "10.0.0.7, 10.0.0.8",
        ",,,,,",
        &long,
    ] {
        let named = client_of(&field(XFF, &[&format!("{left}, 192.0.2.7, 10.0.0.9")]));
        assert_eq!(named, "192.0.2.7", "{left}");
        let named = client_of(&field(XFF, &[left, "192.0.2.7", "10.0.0.9"]));
        assert_eq!(named, "192.0.2.7", "{left}");
    }
    let long = "for=6.6.6.6, ".repeat(5000);
    for left in [
        "for=6.6.6.6",
        "for=6.6.6.6;by=\"",
        "for=6.6.6.6;by=\"\\",
        "for=\"[",
        "6.6.6.6",
        "for=10.0.0.7",
        "\"",
        "=",
        &long,
    ] {
        let named = client_of(&field(
            RFC,
            &[&format!("{left}, for=192.0.2.7, for=10.0.0.9")],
        ));
        assert_eq!(named, "192.0.2.7", "{left}");
        let named = client_of(&field(RFC, &[left, "for=192.0.2.7", "for=10.0.0.9"]));
        assert_eq!(named, "192.0.2.7", "{left}");
    }
}

const UNREADABLE: &str = r#"

,   ,
unknown
192.0.2.7, unknown
192.0.2.7, _hidden, 10.0.0.9
192.0.2.7, 10.0.0.9 10.0.0.8
192.0.2.07
192.0.2
3221225991
192.0.2.7:
192.0.2.7:port
192.0.2.7:123456
[2001:db8::1
[2001:db8::1]8080
[192.0.2.7]
[2001:db8::1]:
2001:db8::1%
2001:db8::1%a b
"192.0.2.7"
for=192.0.2.7
"#;

const UNREADABLE_FORWARDED: &str = r#"
for=unknown
for=_hidden
for="_SEVKISEK"
for=192.0.2.7, for=unknown
for=192.0.2.7, proto=https
for=192.0.2.7, for=10.0.0.9;for=10.0.0.8
192.0.2.7
for 192.0.2.7
for = 192.0.2.7
for=
for=""
for="192.0.2.7
for=192.0.2.7"
for="192.0.2.\7"
for="192.0.2.7"x
for=192.0.2.7 proto=http
for=192.0.2.7;by="
for=192.0.2.7;by="\"
f"o"r=192.0.2.7
;
"#;

#[test]
fn without_a_readable_hop_the_peer_itself_counts() {
    for (name, lines) in [(XFF, UNREADABLE), (RFC, UNREADABLE_FORWARDED)] {
        for line in lines.lines() {
            assert_eq!(client_of(&field(name, &[line])), PEER, "{name}: {line}");
        }
    }
    assert_eq!(client_of(&HeaderMap::new()), PEER);
}

#[test]
fn two_fields_that_disagree_name_nobody() {
    for (one, other, wanted) in [
        ("192.0.2.7", "for=192.0.2.7", "192.0.2.7"),
        (
            "192.0.2.7:80, 10.0.0.9",
            "for=\"[::ffff:192.0.2.7]\"",
            "192.0.2.7",
        ),
        ("192.0.2.7", "", "192.0.2.7"),
        ("", "for=192.0.2.7", "192.0.2.7"),
        ("192.0.2.7", "for=192.0.2.8", PEER),
        ("192.0.2.7", "for=unknown", PEER),
        ("192.0.2.7", "proto=https", PEER),
        ("unknown", "for=192.0.2.7", PEER),
        ("unknown", "for=unknown", PEER),
    ] {
        let mut headers = field(XFF, &[one]);
        headers.extend(field(RFC, &[other]));
        assert_eq!(client_of(&headers), wanted, "{one} and {other}");
    }
}

#[test]
fn only_the_last_kilobytes_are_read() {
    let hops = |count: usize| "10.0.0.9,".repeat(count);
    let near = format!("192.0.2.7,{}", hops(400));
    assert_eq!(client_of(&field(XFF, &[&near])), "192.0.2.7");
    let far = format!("192.0.2.7,{}", hops(500));
    assert_eq!(client_of(&field(XFF, &[&far])), PEER);
    assert_eq!(
        client_of(&field(XFF, &["192.0.2.7", &",".repeat(4096)])),
        PEER
    );
    assert_eq!(client_of(&field(XFF, &[&"1".repeat(30_000)])), PEER);
    assert_eq!(client_of(&field(RFC, &[&"\\\"".repeat(15_000)])), PEER);
}

#[test]
fn the_path_of_a_record_is_the_readable_part_as_it_was_sent() {
    for (name, lines, wanted) in [
        (XFF, &["10.1.2.3, ::1"][..], Some("10.1.2.3, ::1")),
        (
            XFF,
            &["10.1.2.3,::1", "192.0.2.7:80"],
            Some("10.1.2.3, ::1, 192.0.2.7:80"),
        ),
        (
            XFF,
            &["evil\" injected, 192.0.2.7", "10.0.0.9"],
            Some("192.0.2.7, 10.0.0.9"),
        ),
        (XFF, &["192.0.2.7, evil"], None),
        (XFF, &[""], None),
        (
            RFC,
            &["for=\"[2001:db8::1]:1\";by=x, for=10.0.0.9"],
            Some("[2001:db8::1]:1, 10.0.0.9"),
        ),
        (RFC, &["for=unknown"], None),
    ] {
        assert_eq!(
            forwarded_path(&field(name, lines)).as_deref(),
            wanted,
            "{lines:?}"
        );
    }
    let many: Vec<_> = (0..100).map(|hop| format!("192.0.2.{hop}")).collect();
    let path = forwarded_path(&field(XFF, &[&many.join(", ")])).unwrap();
    assert_eq!(path, many[84..].join(", "));
    let mut both = field(XFF, &["192.0.2.7"]);
    both.extend(field(RFC, &["for=192.0.2.8"]));
    assert_eq!(forwarded_path(&both).as_deref(), Some("192.0.2.7"));
}

#[test]
fn a_malformed_request_id_is_ignored() {
    let id = |value| request_id(&field("x-request-id", &[value])).map(|id| id.to_string());
    assert_eq!(id("abc-1").as_deref(), Some("abc-1"));
    assert_eq!(id("a b"), None);
    assert!(request_id(&HeaderMap::new()).is_none());
}

#[test]
fn an_ipv4_mapped_address_is_trusted_as_its_ipv4_address() {
    let trusted = ["127.0.0.0/8".parse().unwrap()];
    for (address, wanted) in [
        ("127.0.0.1", true),
        ("::ffff:127.0.0.1", true),
        ("::1", false),
    ] {
        assert_eq!(
            is_trusted(address.parse().unwrap(), &trusted),
            wanted,
            "{address}"
        );
    }
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    let parts = prop_oneof![
        Just("for="),
        Just("10.0.0.9"),
        Just("192.0.2.7"),
        Just("[2001:db8::1]"),
        Just(":80"),
        Just(", "),
        Just(";"),
        Just("\""),
        Just("\\"),
        Just("unknown"),
    ];
    let text = prop::collection::vec(parts, 0..12).prop_map(|parts| parts.concat().into_bytes());
    prop_oneof![
        text,
        prop::collection::vec(prop_oneof![0x20..0x7f_u8, 0x80..=0xff_u8], 0..60)
    ]
}

proptest! {
    /// Whatever a client writes, the hop that the proxy appends decides.
    #[test]
    fn no_prefix_hides_the_hop_that_a_proxy_appends(left in line()) {
        for (name, hop) in [(XFF, "192.0.2.99"), (RFC, "for=192.0.2.99"), (RFC, "for=\"[::ffff:192.0.2.99]:1\"")] {
            let mut bytes = left.clone();
            bytes.extend_from_slice(b", ");
            bytes.extend_from_slice(hop.as_bytes());
            let mut headers = HeaderMap::new();
            headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(&bytes).unwrap());
            prop_assert_eq!(client_of(&headers), "192.0.2.99");
            prop_assert!(forwarded_path(&headers).is_some_and(|path| path.contains("192.0.2.99")));
        }
    }

    /// The lines of a field are one list, wherever it is broken.
    #[test]
    fn lines_and_commas_are_alike(hops in prop::collection::vec("(10\\.0\\.0\\.[1-9]|192\\.0\\.2\\.[1-9]|unknown)?", 1..6)) {
        let hops: Vec<_> = hops.iter().map(String::as_str).collect();
        let joined = hops.join(",");
        prop_assert_eq!(client_of(&field(XFF, &hops)), client_of(&field(XFF, &[&joined])));
    }
}
