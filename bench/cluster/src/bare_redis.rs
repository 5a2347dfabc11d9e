//! The client of Redis alone: it adds to a stream what a hub would, and a blocking read on a connection of its own follows.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection as Connection;
use redis::streams::{StreamRangeReply, StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands, AsyncConnectionConfig, Client};

use crate::race::{self, Arrivals, END};
use crate::{ACKNOWLEDGED_WITHIN, NAME};

const FIELD: &str = "d";
const BATCH: usize = 256;

#[derive(Clone)]
pub(crate) struct Log {
    client: Client,
    publishing: Connection,
}

impl Log {
    pub(crate) async fn connect(url: &str) -> anyhow::Result<Self> {
        let client = Client::open(url)?;
        let publishing = connect(&client).await?;
        Ok(Self { client, publishing })
    }
}

async fn connect(client: &Client) -> anyhow::Result<Connection> {
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(ACKNOWLEDGED_WITHIN));
    Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
}

/// An id as one number: it is milliseconds and a count within one, which is small.
fn place(id: &str) -> anyhow::Result<u64> {
    let (time, count) = id.split_once('-').ok_or_else(|| anyhow::anyhow!("{id} is no id"))?;
    Ok((time.parse::<u64>()? << 20) + count.parse::<u64>()?)
}

impl race::Log for Log {
    async fn publish(&self, data: &str) -> anyhow::Result<u64> {
        let id: String = self.publishing.clone().xadd(NAME, "*", &[(FIELD, data)]).await?;
        place(&id)
    }

    async fn follow(&self, arrivals: Arrivals) -> anyhow::Result<()> {
        let mut connection = connect(&self.client).await?;
        tokio::spawn(async move {
            let options = StreamReadOptions::default().count(BATCH).block(1_000);
            let mut last = "0".to_owned();
            loop {
                let reply: Option<StreamReadReply> =
                    connection.xread_options(&[NAME], &[&last], &options).await?;
                for entry in reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids) {
                    arrivals.arrived(place(&entry.id)?);
                    let data: Option<String> = entry.get(FIELD);
                    if data.as_deref() == Some(END) {
                        return anyhow::Ok(());
                    }
                    last = entry.id;
                }
            }
        });
        Ok(())
    }

    async fn replay(&self, count: u64) -> anyhow::Result<Duration> {
        let mut connection = connect(&self.client).await?;
        let begin = Instant::now();
        let (mut read, mut from) = (0, "-".to_owned());
        while read < count {
            let reply: StreamRangeReply = connection.xrange_count(NAME, &from, "+", BATCH).await?;
            let last = reply.ids.last().ok_or_else(|| anyhow::anyhow!("{read} of {count} were read"))?;
            from = format!("({}", last.id);
            for entry in &reply.ids {
                let data: Option<String> = entry.get(FIELD);
                read += u64::from(data.is_some());
            }
        }
        Ok(begin.elapsed())
    }
}
