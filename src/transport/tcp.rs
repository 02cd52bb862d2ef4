//! Printers on the network, port 9100 (escpos §3.4): most serve one connection, so it is held for a job and closed kindly.

use std::io;
use tokio::net::TcpStream;

/// Connects to a printer. Small questions go out at once.
pub async fn open(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
