//! What the owner of a server tells it.

use crate::server::Server;

impl Server {
    /// Has it do something. Gives the answer as text.
    pub async fn tell(&self, command: &[&str]) -> String {
        let client = redis::Client::open(self.url()).expect("an address");
        let mut connection = client.get_multiplexed_async_connection().await.expect("connected");
        let mut told = redis::cmd(command[0]);
        told.arg(&command[1..]);
        let answer: redis::Value = told.query_async(&mut connection).await.expect("done");
        format!("{answer:?}")
    }
}
