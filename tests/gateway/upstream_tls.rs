//! TLS to Qiniu: a certificate of the operator's own authority is trusted, any other is not.

use crate::support::{
    Gateway, SESSIONCODE, routes,
    secure::{self, Authority},
};

async fn gateway(port: u16, trusted: &Authority, name: &str) -> Gateway {
    let file = std::env::temp_dir().join(format!(
        "liveness-gateway-{}-{name}.pem",
        std::process::id()
    ));
    std::fs::write(&file, trusted.pem()).unwrap();
    let qiniu = format!(
        "endpoint = \"https://localhost:{port}\"\nca_file = \"{}\"",
        file.display()
    );
    let gateway = Gateway::start_at(&qiniu, "", &routes()).await;
    std::fs::remove_file(file).unwrap();
    gateway
}

#[tokio::test]
async fn the_operator_s_authority_is_trusted_and_the_connection_is_kept() {
    let authority = Authority::new();
    let gateway = gateway(secure::qiniu(&authority, 3).await, &authority, "good").await;
    for _ in 0..3 {
        assert_eq!(gateway.post(false, SESSIONCODE, "{}").await.status, 200);
    }
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_not_trusted() {
    let gateway = gateway(
        secure::qiniu(&Authority::new(), 1).await,
        &Authority::new(),
        "bad",
    )
    .await;
    let answer = gateway.post(false, SESSIONCODE, "{}").await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (502, "upstream_unreachable")
    );
}
