//! Flags for how it is known that an agent works. Pure.

use clap::Args;
use skerry_core::agent::{FileProbe, HealthCheck, HttpProbe, Scheme};
use skerry_core::units::Span;

use super::{Usage, Words, shell_words};

const HEADING: &str = "Health";

/// How it is known that it works.
#[derive(Debug, Clone, Args)]
pub(super) struct HealthArgs {
    /// Healthy if this ends with 0; for /bin/sh, or a JSON list
    #[arg(long, value_name = "COMMAND", value_parser = shell_words)]
    #[arg(group = "probe", help_heading = HEADING)]
    health_cmd: Option<Words>,
    /// Healthy if this port of the agent accepts a connection
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    #[arg(group = "probe", help_heading = HEADING)]
    health_tcp: Option<u16>,
    /// Healthy if this page answers with 200 to 399
    #[arg(long, value_name = "PORT/PATH", value_parser = page)]
    #[arg(group = "probe", help_heading = HEADING)]
    health_http: Option<HttpProbe>,
    /// Healthy if this file of the agent exists
    #[arg(long, value_name = "PATH", group = "probe", help_heading = HEADING)]
    health_file: Option<String>,
    /// The file must have been changed this recently
    #[arg(long, value_name = "TIME", requires = "health_file", help_heading = HEADING)]
    health_file_age: Option<Span>,
    /// Between two probes; 30s by default
    #[arg(long, value_name = "TIME", help_heading = HEADING)]
    health_interval: Option<Span>,
    /// A probe that takes longer has failed; 5s by default
    #[arg(long, value_name = "TIME", help_heading = HEADING)]
    health_timeout: Option<Span>,
    /// Failures in a row that make it unhealthy; 3 by default
    #[arg(long, value_name = "N", help_heading = HEADING)]
    health_retries: Option<u32>,
    /// Failures this soon after the start do not count
    #[arg(long, value_name = "TIME", help_heading = HEADING)]
    health_start_period: Option<Span>,
}

impl HealthArgs {
    /// The check that the flags describe, if any.
    pub(super) fn check(self) -> Result<Option<HealthCheck>, Usage> {
        let tuned = self.health_interval.is_some()
            || self.health_timeout.is_some()
            || self.health_retries.is_some()
            || self.health_start_period.is_some();
        let max_age = self.health_file_age;
        let check = self.health_cmd.map(HealthCheck::by_command);
        let check = check.or_else(|| self.health_tcp.map(HealthCheck::by_tcp));
        let check = check.or_else(|| {
            let http = self.health_http?;
            let base = HealthCheck::by_http(http.port, &http.path);
            Some(HealthCheck { http: Some(http), ..base })
        });
        let check = check.or_else(|| {
            let file = Some(FileProbe { path: self.health_file?, max_age });
            Some(HealthCheck { file, tcp: None, ..HealthCheck::by_tcp(1) })
        });
        let Some(mut check) = check else {
            let text = "the --health options need one of --health-cmd, -tcp, -http and -file";
            return if tuned { Err(Usage(text.to_owned())) } else { Ok(None) };
        };
        check.interval = self.health_interval.unwrap_or(check.interval);
        check.timeout = self.health_timeout.unwrap_or(check.timeout);
        check.retries = self.health_retries.unwrap_or(check.retries);
        check.start_period = self.health_start_period.unwrap_or(check.start_period);
        Ok(Some(check))
    }
}

/// `8080/ready`, `:8080`, `https://localhost:8443/`.
fn page(text: &str) -> Result<HttpProbe, String> {
    let wrong =
        || format!("'{text}' is no page; write such as 8080/ready or https://localhost:8443/");
    let (scheme, rest) = match text.split_once("://") {
        None => (Scheme::Http, text),
        Some(("http", rest)) => (Scheme::Http, rest),
        Some(("https", rest)) => (Scheme::Https, rest),
        Some(_) => return Err(wrong()),
    };
    let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = place.rsplit_once(':').unwrap_or(("", place));
    if !matches!(host, "" | "localhost" | "127.0.0.1") {
        return Err(format!("'{host}' is not the agent itself; leave it out"));
    }
    let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
    let made = HealthCheck::by_http(port, &format!("/{path}")).http;
    made.map(|http| HttpProbe { scheme, ..http }).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_port_and_may_have_the_rest() {
        let of = |text: &str| page(text).map(|http| (http.scheme, http.port, http.path));
        assert_eq!(of("8080/ready?x").unwrap(), (Scheme::Http, 8080, "/ready?x".into()));
        assert_eq!(of(":80").unwrap(), (Scheme::Http, 80, "/".into()));
        let secure = (Scheme::Https, 8443, "/a/b".to_owned());
        assert_eq!(of("https://localhost:8443/a/b").unwrap(), secure);
        for wrong in ["", "ready", "0/x", "ftp://localhost:21", "http://example.org:80/"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
