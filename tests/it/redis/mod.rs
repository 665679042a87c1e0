//! Everything on a server: the contracts, and what is special to Redis and Valkey.

mod changes;
mod contract;
mod losses;
mod records;
mod scripts;

use std::time::Duration;

use ::redis::{AsyncCommands, AsyncConnectionConfig, aio::MultiplexedConnection};
use portcullis::{
    RedisStore,
    clock::{Clock, Timestamp},
    credential::Channel,
    identity::Subject,
    secret::SecretBytes,
    store::{Digest, Epoch, Found, Insertion, LockOwner, LoginColumns, TokenStore},
    text::TokenId,
};

use crate::servers::{Program, RedisServer, SharedServer};

const BOTH: [Program; 2] = [Program::Redis, Program::Valkey];
/// Of tests of what happens, not of how soon.
const PATIENCE: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn random_name() -> String {
    LockOwner::generate().unwrap().as_bytes().map(|byte| format!("{byte:02x}")).concat()
}

/// Two handles of a store that nobody else uses, and its prefix.
fn handles(server: &SharedServer) -> ([RedisStore; 2], String) {
    let name = random_name();
    let handles = [(); 2].map(|()| {
        let store = RedisStore::builder(server.url()).prefix(name.as_str());
        store.connect_timeout(PATIENCE).response_timeout(PATIENCE).build().unwrap()
    });
    (handles, name)
}

/// The names and values of all keys of a prefix.
async fn contents(url: String, prefix: String) -> Vec<u8> {
    let mut client = client(&url).await;
    let mut contents = Vec::new();
    let names: Vec<String> = client.keys(format!("{{{prefix}}}:*")).await.unwrap();
    for name in names {
        let kind: String = ::redis::cmd("TYPE").arg(&name).query_async(&mut client).await.unwrap();
        let parts: Vec<Vec<u8>> = match kind.as_str() {
            "hash" => ::redis::cmd("HGETALL").arg(&name).query_async(&mut client).await.unwrap(),
            "zset" => client.zrange(&name, 0, -1).await.unwrap(),
            "string" => client.mget(&[&name]).await.unwrap(),
            // It went by itself meanwhile.
            _ => Vec::new(),
        };
        contents.extend(name.into_bytes());
        contents.extend(parts.concat());
    }
    contents
}

fn store_at(url: &str) -> RedisStore {
    RedisStore::builder(url).connect_timeout(PATIENCE).response_timeout(PATIENCE).build().unwrap()
}

fn store_on(server: &RedisServer) -> RedisStore {
    store_at(&server.url())
}

async fn client(url: &str) -> MultiplexedConnection {
    let patient = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
    let client = ::redis::Client::open(url).unwrap();
    client.get_multiplexed_async_connection_with_config(&patient).await.unwrap()
}

/// Every key of the server.
async fn keys(url: &str) -> Vec<String> {
    let mut keys: Vec<String> = client(url).await.keys("*").await.unwrap();
    keys.sort();
    keys
}

fn now() -> Timestamp {
    Clock::system().now()
}

fn id(text: &str) -> TokenId {
    TokenId::parse(&format!("{text:0<17}")).unwrap()
}

fn digest(byte: u8) -> Digest {
    Digest::from_bytes(&[[1, 0].as_slice(), &[byte; 32]].concat()).unwrap()
}

/// A login of this subject that ends in a day.
fn login(name: &str, subject: Subject) -> LoginColumns {
    let lineage = SecretBytes::new([7; 32]);
    let mut login = LoginColumns::new(id(name), subject, Channel::Header, digest(1), lineage, now());
    login.access_expires = now().plus(DAY);
    login.absolute_expires = now().plus(DAY);
    login
}

async fn insert(store: &RedisStore, login: LoginColumns) -> TokenId {
    let id = login.id;
    store.insert(login.into(), Insertion::new(Epoch::from_number(7), now())).await.unwrap();
    id
}

async fn find(store: &RedisStore, id: &TokenId) -> Option<Found> {
    store.find(id).wait().await.unwrap()
}
