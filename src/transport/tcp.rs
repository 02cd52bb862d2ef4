//! Printers on the network, port 9100 (escpos §3.4): most serve one connection. Whoever owns it asks the printer's side for a sign of life
//! while nothing is said: a printer that lost its power never hangs up.

use rustix::net::sockopt;
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;

/// How long a line may be silent before the printer's side is asked for a sign of life.
const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(15);
/// The pause between two such questions.
const KEEP_ALIVE_GAP: Duration = Duration::from_secs(5);
/// How many of them may stay without an answer: a dead line is known after half a minute.
const KEEP_ALIVE_TRIES: u32 = 3;

/// Connects to a printer. Small questions go out at once.
pub async fn open(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    sockopt::set_tcp_keepidle(&stream, KEEP_ALIVE_AFTER)?;
    sockopt::set_tcp_keepintvl(&stream, KEEP_ALIVE_GAP)?;
    sockopt::set_tcp_keepcnt(&stream, KEEP_ALIVE_TRIES)?;
    sockopt::set_socket_keepalive(&stream, true)?;
    Ok(stream)
}
