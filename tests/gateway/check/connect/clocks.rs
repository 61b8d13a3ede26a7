//! Clocks that are off.

use std::time::Duration;

use super::{answering, code, connect, evidence, fixed, fixed_line, has_lines, stdout};

#[tokio::test]
async fn a_clock_that_is_off_fails_where_it_is_refused_and_is_a_warning_elsewhere() {
    let off = answering("404 Not Found", Duration::from_secs(3600)).await;
    let at = format!("http://{}", off.address);
    let more = fixed() + &evidence(&format!("{at}/liveness"));
    // The servers' dates are as old as the test.
    let skew = "its clock less this machine's is +3";
    let backend = format!("FAILED   evidence  {at}: {skew} | 5 minutes off | (NTP)");
    for (sign_date, line) in [
        (
            true,
            format!("FAILED   Qiniu     {at}: {skew} | 15 minutes off | (NTP)"),
        ),
        (false, format!("warning  Qiniu     {at}: | {skew} | (NTP)")),
    ] {
        let qiniu = format!("endpoint = \"{at}\"\nsign_date = {sign_date}");
        let output = connect(&qiniu, &more, &[], &[]).await;
        assert_eq!(code(&output), 1);
        has_lines(&output, &[line, fixed_line(), backend.clone()]);
    }
}

#[tokio::test]
async fn a_warning_fails_a_strict_check_alone() {
    let qiniu = answering("404 Not Found", Duration::from_secs(300)).await;
    let qiniu = format!("endpoint = \"http://{}\"", qiniu.address);
    for (arguments, expected) in [(&[][..], 0), (&["--strict"], 1)] {
        let output = connect(&qiniu, &fixed(), arguments, &[]).await;
        assert_eq!(code(&output), expected, "{}", stdout(&output));
        has_lines(&output, &["warning  Qiniu".into(), fixed_line()]);
    }
}
