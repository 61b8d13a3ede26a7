//! URLs of stores: each form with its parts, and each fault with its own error, which shows nothing
//! of the URL.

use super::*;
use crate::outbound::connection::client_config;

fn parse_with(text: &str, allow_plaintext: bool) -> Result<StoreAddress, AddressError> {
    let tls = ClientTls::new(client_config(None).unwrap());
    StoreAddress::parse(&Secret::new(text), &tls, allow_plaintext)
}

fn parse(text: &str) -> Result<StoreAddress, AddressError> {
    parse_with(text, true)
}

fn hosts(servers: &[Origin]) -> Vec<(&str, u16, bool)> {
    let mut hosts = Vec::new();
    for server in servers {
        hosts.push((server.host.as_str(), server.port, server.tls));
    }
    hosts
}

fn login(login: &StoreLogin) -> (Option<&str>, Option<&[u8]>, u16) {
    (
        login.user.as_deref(),
        login.password.as_ref().map(Secret::reveal),
        login.database,
    )
}

#[test]
fn one_server_is_parsed_with_its_login() {
    let address = parse("rediss://ann:p%40ss@Redis.example.com:6380/3").unwrap();
    assert_eq!(
        hosts(address.servers.named()),
        [("redis.example.com", 6380, true)]
    );
    assert_eq!(
        login(&address.login),
        (Some("ann"), Some(b"p@ss".as_slice()), 3)
    );
    assert!(address.tls.is_some() && !address.fails_over());
    let plain = parse("valkey://:only%3a@10.0.0.1/").unwrap();
    assert_eq!(hosts(plain.servers.named()), [("10.0.0.1", 6379, false)]);
    assert_eq!(login(&plain.login), (None, Some(b"only:".as_slice()), 0));
    let address = parse("redis://[::1]").unwrap();
    assert_eq!(hosts(address.servers.named()), [("::1", 6379, false)]);
    let address = parse("redis://[::1]:6380").unwrap();
    assert_eq!(hosts(address.servers.named()), [("::1", 6380, false)]);
    let StoreServers::Unix(path) = parse("unix:///run/re%20dis.sock").unwrap().servers else {
        panic!("no socket");
    };
    assert_eq!(path, PathBuf::from("/run/re dis.sock"));
}

#[test]
fn sentinels_are_parsed_with_their_service_and_both_logins() {
    let text = "rediss+sentinel://ann:pass@one:26380,two,[::1]/my%2fmaster/2\
                ?sentinel_user=watcher&sentinel_password=p%26w";
    let address = parse(text).unwrap();
    let named = [
        ("one", 26380, true),
        ("two", 26379, true),
        ("::1", 26379, true),
    ];
    assert_eq!(hosts(address.servers.named()), named);
    assert_eq!(
        login(&address.login),
        (Some("ann"), Some(b"pass".as_slice()), 2)
    );
    assert!(address.tls.is_some() && address.fails_over());
    let StoreServers::Sentinels(service) = &address.servers else {
        panic!("no sentinels");
    };
    assert_eq!(service.name, "my/master");
    assert_eq!(
        login(service.login.as_ref().unwrap()),
        (Some("watcher"), Some(b"p&w".as_slice()), 0)
    );
    let StoreServers::Sentinels(service) = parse("redis+sentinel://one/m").unwrap().servers else {
        panic!("no sentinels");
    };
    assert!(service.login.is_none() && service.name == "m");
}

#[test]
fn some_nodes_of_a_cluster_are_parsed() {
    let address = parse("redis+cluster://:pass@one,two:7000").unwrap();
    assert!(matches!(address.servers, StoreServers::Cluster(_)) && address.fails_over());
    assert_eq!(
        hosts(address.servers.named()),
        [("one", 6379, false), ("two", 7000, false)]
    );
    assert!(parse("rediss+cluster://one,two/0").unwrap().tls.is_some());
}

#[test]
fn a_text_that_is_no_address_of_a_redis_is_refused_for_its_fault() {
    use AddressError as E;
    for (wrong, fault) in [
        ("", E::NotRedis),
        ("redis", E::NotRedis),
        ("http://127.0.0.1:6379", E::NotRedis),
        ("redis+sentinels://127.0.0.1", E::NotRedis),
        ("redis://", E::NoHost),
        ("redis://:6379", E::NoHost),
        ("redis+cluster://127.0.0.1,", E::NoHost),
        ("redis://127.0.0.1:port", E::Host),
        ("redis://127.0.0.1:", E::Host),
        ("redis://127.0.0.1:0", E::Host),
        ("redis://127.0.0.1:65536", E::Host),
        ("redis://127.0.0.1 ", E::Host),
        ("redis://[127.0.0.1", E::Host),
        ("redis://127.0.0.1/zero", E::Database),
        ("redis://127.0.0.1/0/1", E::Database),
        ("redis://127.0.0.1/65536", E::Database),
        ("redis://127.0.0.1,127.0.0.2", E::SeveralHosts),
        ("rediss://127.0.0.1/#insecure", E::HasOptions),
        ("redis://127.0.0.1/?protocol=resp3", E::HasOptions),
        ("redis+cluster://127.0.0.1/?sentinel_user=u", E::HasOptions),
        ("unix:///run/redis.sock?db=1", E::HasOptions),
        ("unix://", E::NoPath),
        ("unix://run/redis.sock", E::NoPath),
        ("redis+sentinel://127.0.0.1", E::NoService),
        ("redis+sentinel://127.0.0.1/", E::NoService),
        ("redis+sentinel://127.0.0.1/m?password=p", E::UnknownOption),
        (
            "redis+sentinel://127.0.0.1/m?sentinel_user",
            E::UnknownOption,
        ),
        (
            "redis+sentinel://127.0.0.1/m?sentinel_user=u",
            E::NoPassword,
        ),
        ("redis+cluster://127.0.0.1/1", E::ClusterDatabase),
        ("redis://127@127.0.0.1", E::NoPassword),
        ("redis://:127%@127.0.0.1", E::Login),
        ("redis://:127%ff@127.0.0.1", E::Login),
        ("redis://12%0a7:127@127.0.0.1", E::Login),
    ] {
        let error = parse(wrong).err().unwrap_or_else(|| panic!("{wrong}"));
        assert_eq!(error, fault, "{wrong}");
        let shown = format!("{error} {}", error.help());
        assert!(!shown.contains("127"), "{shown}");
    }
}

#[test]
fn plaintext_stays_on_this_machine_unless_it_is_allowed() {
    for url in [
        "redis://10.0.0.1",
        "redis://redis.example.com",
        "redis+sentinel://127.0.0.1,10.0.0.1/m",
        "redis+cluster://localhost,10.0.0.1",
    ] {
        let refused = parse_with(url, false).err();
        assert_eq!(refused, Some(AddressError::Plaintext), "{url}");
        assert!(parse_with(url, true).is_ok(), "{url}");
    }
    for url in [
        "redis://127.0.0.1",
        "redis://[::1]",
        "redis://localhost",
        "unix:///run/redis.sock",
        "rediss://10.0.0.1",
        "rediss+sentinel://10.0.0.1/m",
        "rediss+cluster://10.0.0.1",
    ] {
        assert!(parse_with(url, false).is_ok(), "{url}");
    }
}

#[test]
fn what_a_server_announces_must_be_a_host_and_a_port() {
    for (host, port) in [
        ("10.0.0.1", 6379),
        ("Redis-0.svc", 1),
        ("fe80::1%eth0", 6379),
    ] {
        assert!(announced(host, port, false).is_some(), "{host}");
    }
    for (host, port) in [
        ("", 6379),
        ("host", 0),
        ("a b", 1),
        ("a/b", 1),
        ("a\r\n", 1),
        ("?", 1),
    ] {
        assert!(announced(host, port, false).is_none(), "{host}");
    }
    assert_eq!(announced("Host", 1, true).unwrap().host, "host");
}
