//! `cairn healthcheck`: one HTTP request to a running server, for a container's HEALTHCHECK.
//!
//! Here: the request, by hand and without a runtime, so that it costs a few milliseconds and no TLS.
//! Elsewhere: the answer (`api`).

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Connecting, asking and answering each take at most this.
const PATIENCE: Duration = Duration::from_secs(3);

/// 0 if the answer at `url` is 200, else 1 with the reason in `out`.
pub(super) fn run(url: &str, out: &mut dyn Write) -> io::Result<u8> {
    match status_line(url) {
        Ok(line) if line.split(' ').nth(1) == Some("200") => {
            writeln!(out, "{url}: healthy")?;
            Ok(0)
        }
        Ok(line) => {
            writeln!(out, "{url}: answered {line:?}")?;
            Ok(1)
        }
        Err(message) => {
            writeln!(out, "{url}: {message}")?;
            Ok(1)
        }
    }
}

fn status_line(url: &str) -> Result<String, String> {
    let url = url::Url::parse(url).map_err(|error| error.to_string())?;
    if url.scheme() != "http" {
        return Err("only http:// can be asked".to_owned());
    }
    let host = url.host_str().ok_or("the URL has no host")?;
    let port = url.port_or_known_default().unwrap_or(80);
    // `ToSocketAddrs` wants an IPv6 address without its brackets.
    let address = (host.trim_matches(['[', ']']), port).to_socket_addrs().map_err(|error| error.to_string())?;
    let mut last = "the name has no address".to_owned();
    for address in address {
        match ask(&address, &format!("GET {} HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n", url.path())) {
            Ok(line) => return Ok(line),
            Err(error) => last = error.to_string(),
        }
    }
    Err(last)
}

fn ask(address: &std::net::SocketAddr, request: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut byte = [0];
    // A status line is short; what is longer is no HTTP server.
    while answer.len() < 1024 && stream.read(&mut byte)? == 1 && byte[0] != b'\n' {
        answer.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&answer).trim_end().to_owned())
}
