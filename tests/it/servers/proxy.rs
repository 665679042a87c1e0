//! A server in front of a server that fails as a network does.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// Passes bytes on between its own loopback port and that of a server. Its tasks end when it is dropped, and its
/// connections with them.
pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    behind: String,
    mode: watch::Sender<Mode>,
    /// How many bytes of the next reply are passed on before its connection ends.
    cut: Mutex<Option<usize>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Mode {
    stalls: bool,
    refuses: bool,
    /// Connections of an earlier number end.
    round: u64,
    /// Connections that are open now.
    open: usize,
}

/// The connection is to end, with what is still on its way.
struct Ended;

// ===== impl Ended =====

impl From<std::io::Error> for Ended {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

impl From<watch::error::RecvError> for Ended {
    fn from(_: watch::error::RecvError) -> Self {
        Self
    }
}

// ===== impl Proxy =====

impl Proxy {
    /// In front of `behind`, such as `127.0.0.1:6379`.
    pub(crate) async fn to(behind: impl Into<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            behind: behind.into(),
            mode: watch::Sender::new(Mode::default()),
            cut: Mutex::default(),
        });
        let task = tokio::spawn(accept(listener, shared.clone()));
        Self { port, shared, task }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Holds every byte in both directions, and the end of connections too. New ones are accepted.
    pub(crate) fn stall(&self) {
        self.set(|mode| mode.stalls = true);
    }

    /// What was held goes through.
    pub(crate) fn go_on(&self) {
        self.set(|mode| mode.stalls = false);
    }

    /// The request goes through, and the connection ends after that many bytes of what the server says next: with 0,
    /// instead of the answer. Happens once, to whichever connection is answered first.
    pub(crate) fn cut_next_reply_after(&self, bytes: usize) {
        *self.shared.cut.lock().unwrap() = Some(bytes);
    }

    /// Whether the reply to be cut is still to come.
    pub(crate) fn waits_to_cut(&self) -> bool {
        self.shared.cut.lock().unwrap().is_some()
    }

    /// New connections end at once; those that are open stay.
    pub(crate) fn refuse(&self) {
        self.set(|mode| mode.refuses = true);
    }

    pub(crate) fn accept_again(&self) {
        self.set(|mode| mode.refuses = false);
    }

    /// Ends every connection that is open, on both sides.
    pub(crate) fn close_all(&self) {
        self.set(|mode| mode.round += 1);
    }

    /// How many connections are open now. One that is held is, although its client may have ended it.
    pub(crate) fn open(&self) -> usize {
        self.shared.mode.borrow().open
    }

    /// Waits until that many connections are open.
    pub(crate) async fn has_open(&self, count: usize) {
        self.shared.mode.subscribe().wait_for(|mode| mode.open == count).await.unwrap();
    }

    fn set(&self, change: impl FnOnce(&mut Mode)) {
        self.shared.mode.send_modify(change);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// ===== connections =====

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // They end with this task.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let mode = *shared.mode.borrow();
        if !mode.refuses {
            connections.spawn(connection(client, shared.clone(), mode.round));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(mut client: TcpStream, shared: Arc<Shared>, round: u64) {
    // A server that is down ends the client's connection.
    let Ok(mut server) = TcpStream::connect(&shared.behind).await else { return };
    let _nodelay = (client.set_nodelay(true), server.set_nodelay(true));
    shared.mode.send_modify(|mode| mode.open += 1);
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let mut mode = shared.mode.subscribe();
    tokio::select! {
        _ended = async { tokio::try_join!(
            requests(&mut from_client, &mut to_server, &shared),
            replies(&mut from_server, &mut to_client, &shared),
        ) } => {}
        _closed = mode.wait_for(|mode| mode.round != round) => {}
    }
    drop((client, server));
    shared.mode.send_modify(|mode| mode.open -= 1);
}

async fn requests(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    shared: &Shared,
) -> Result<(), Ended> {
    let mut bytes = [0; 16384];
    while let Some(len) = read(from, &mut bytes, shared).await? {
        write(to, &bytes[..len]).await?;
    }
    Ok(to.shutdown().await?)
}

async fn replies(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    shared: &Shared,
) -> Result<(), Ended> {
    let mut bytes = [0; 16384];
    let mut left = None;
    while let Some(len) = read(from, &mut bytes, shared).await? {
        left = left.or_else(|| shared.cut.lock().unwrap().take());
        let passed = left.map_or(len, |left| left.min(len));
        write(to, &bytes[..passed]).await?;
        left = left.map(|left| left - passed);
        if left == Some(0) {
            let _sent = to.shutdown().await;
            return Err(Ended);
        }
    }
    Ok(to.shutdown().await?)
}

/// The next bytes, once they may pass; none at the end.
async fn read(
    from: &mut (impl AsyncRead + Unpin),
    bytes: &mut [u8],
    shared: &Shared,
) -> Result<Option<usize>, Ended> {
    let read = from.read(bytes).await;
    let mut mode = shared.mode.subscribe();
    mode.wait_for(|mode| !mode.stalls).await?;
    let len = read?;
    Ok((len > 0).then_some(len))
}

async fn write(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<(), Ended> {
    Ok(to.write_all(bytes).await?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{sync::mpsc, time::timeout};

    use super::*;

    /// Says back what it is told, and notes it. A connection that ends is noted as nothing.
    struct Echo {
        address: String,
        heard: mpsc::UnboundedReceiver<Vec<u8>>,
    }

    impl Echo {
        async fn start() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let (note, heard) = mpsc::unbounded_channel();
            tokio::spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    let note = note.clone();
                    tokio::spawn(async move {
                        let mut bytes = [0; 100];
                        while let Ok(len @ 1..) = stream.read(&mut bytes).await {
                            note.send(bytes[..len].to_vec()).unwrap();
                            stream.write_all(&bytes[..len]).await.unwrap();
                        }
                        let _ended = note.send(Vec::new());
                    });
                }
            });
            Self { address, heard }
        }

        async fn heard(&mut self) -> Vec<u8> {
            soon(self.heard.recv()).await.unwrap()
        }
    }

    async fn soon<T>(what: impl Future<Output = T>) -> T {
        timeout(Duration::from_secs(20), what).await.unwrap()
    }

    async fn client(proxy: &Proxy) -> TcpStream {
        TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap()
    }

    #[track_caller]
    fn check_ended(read: std::io::Result<usize>) {
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }

    async fn ends(client: &mut TcpStream) {
        check_ended(soon(client.read(&mut [0; 100])).await);
    }

    async fn works(client: &mut TcpStream) {
        soon(client.write_all(b"abc")).await.unwrap();
        let mut answer = [0; 3];
        soon(client.read_exact(&mut answer)).await.unwrap();
        assert_eq!(&answer, b"abc");
    }

    #[tokio::test]
    async fn bytes_and_ends_go_through() {
        let mut echo = Echo::start().await;
        let proxy = Proxy::to(&echo.address).await;
        let mut client = client(&proxy).await;
        works(&mut client).await;
        proxy.has_open(1).await;
        drop(client);
        assert_eq!(echo.heard().await, b"abc");
        assert_eq!(echo.heard().await, b"");
        soon(proxy.has_open(0)).await;
    }

    #[tokio::test]
    async fn what_is_held_goes_through_later() {
        let mut echo = Echo::start().await;
        let proxy = Proxy::to(&echo.address).await;
        let mut one = client(&proxy).await;
        works(&mut one).await;
        echo.heard().await;
        proxy.stall();
        let mut two = client(&proxy).await;
        for client in [&mut one, &mut two] {
            client.write_all(b"xyz").await.unwrap();
            let held = timeout(Duration::from_millis(100), client.read(&mut [0; 100])).await;
            assert!(held.is_err(), "{held:?}");
        }
        assert!(echo.heard.try_recv().is_err());
        proxy.go_on();
        for client in [&mut one, &mut two] {
            let mut answer = [0; 3];
            soon(client.read_exact(&mut answer)).await.unwrap();
            assert_eq!(&answer, b"xyz");
            works(client).await;
        }
    }

    #[tokio::test]
    async fn a_reply_is_cut_once_where_it_was_told() {
        let mut echo = Echo::start().await;
        let proxy = Proxy::to(&echo.address).await;
        for cut in 0..=3 {
            let mut client = client(&proxy).await;
            works(&mut client).await;
            assert_eq!(echo.heard().await, b"abc");
            proxy.cut_next_reply_after(cut);
            assert!(proxy.waits_to_cut());
            client.write_all(b"abcdef").await.unwrap();
            let mut answer = Vec::new();
            soon(client.read_to_end(&mut answer)).await.unwrap();
            assert_eq!(answer, &b"abcdef"[..cut]);
            assert!(!proxy.waits_to_cut());
            assert_eq!(echo.heard().await, b"abcdef");
            assert_eq!(echo.heard().await, b"");
        }
    }

    #[tokio::test]
    async fn new_connections_end_at_once_while_they_are_refused() {
        let echo = Echo::start().await;
        let proxy = Proxy::to(&echo.address).await;
        let mut one = client(&proxy).await;
        works(&mut one).await;
        proxy.refuse();
        ends(&mut client(&proxy).await).await;
        works(&mut one).await;
        proxy.accept_again();
        works(&mut client(&proxy).await).await;
    }

    #[tokio::test]
    async fn all_connections_end_on_both_sides_and_new_ones_work() {
        let mut echo = Echo::start().await;
        let proxy = Proxy::to(&echo.address).await;
        let (mut one, mut two) = (client(&proxy).await, client(&proxy).await);
        for client in [&mut one, &mut two] {
            works(client).await;
            assert_eq!(echo.heard().await, b"abc");
        }
        // Even what is held ends.
        proxy.stall();
        proxy.close_all();
        ends(&mut one).await;
        ends(&mut two).await;
        assert_eq!((echo.heard().await, echo.heard().await), (Vec::new(), Vec::new()));
        soon(proxy.has_open(0)).await;
        proxy.go_on();
        works(&mut client(&proxy).await).await;
    }

    #[tokio::test]
    async fn it_ends_with_its_connections_when_it_is_dropped() {
        let mut echo = Echo::start().await;
        let proxy = Proxy::to(&echo.address).await;
        let (mut client, port) = (client(&proxy).await, proxy.port());
        works(&mut client).await;
        assert_eq!(echo.heard().await, b"abc");
        drop(proxy);
        ends(&mut client).await;
        assert_eq!(echo.heard().await, b"");
        assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
    }

    #[tokio::test]
    async fn in_front_of_nobody_it_ends_each_connection() {
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let proxy = Proxy::to(nobody.to_string()).await;
        ends(&mut client(&proxy).await).await;
    }
}
