//! What is wrong with a server that is to hold a log, as it says itself. Nothing is changed there.

use std::collections::HashMap;

use super::store::Limits;
use crate::cluster::Finding;

/// The oldest release that has what the scripts need: `XTRIM … MINID`.
const VERSION_MIN: (u32, u32) = (6, 2);

/// What a server says about itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Server {
    said: HashMap<String, String>,
    /// When what it appends to its file is on the disk; a user may not be allowed to ask.
    pub(super) appendfsync: Option<String>,
}

impl Server {
    /// Reads the answer to `INFO`.
    pub(super) fn read(info: &str) -> Self {
        let lines = info.lines().filter_map(|line| line.split_once(':'));
        let said = lines.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
        Self { said, appendfsync: None }
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.said.get(name).is_some_and(|said| said == value)
    }

    pub(super) fn is_replica(&self) -> bool {
        self.is("role", "slave")
    }

    fn version(&self) -> Option<(u32, u32)> {
        let mut numbers = self.said.get("redis_version")?.split('.').map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    }

    /// What its owner should know.
    pub(super) fn findings(&self, limits: &Limits) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut refuse = |is_wrong: bool, text: String| {
            if is_wrong {
                found.push(Finding::Refused(text));
            }
        };
        let is_cluster = self.is("redis_mode", "cluster") || self.is("cluster_enabled", "1");
        refuse(
            is_cluster,
            "it is part of a Redis Cluster; a log needs one server, with replicas or without".to_owned(),
        );
        let version = self.version();
        let (major, minor) = VERSION_MIN;
        refuse(
            version.is_some_and(|version| version < VERSION_MIN),
            format!(
                "it is Redis {}; a log needs {major}.{minor} or later, or Valkey",
                self.said.get("redis_version").map_or("", String::as_str)
            ),
        );
        let memory: u64 = self.said.get("maxmemory").and_then(|text| text.parse().ok()).unwrap_or(0);
        let policy = self.said.get("maxmemory_policy").map_or("", String::as_str);
        refuse(
            memory > 0 && policy.starts_with("allkeys-"),
            format!(
                "it drops any key when its memory is full (maxmemory-policy {policy}), and the log is one; set noeviction, and the oldest \
                 events go by --history-bytes"
            ),
        );

        let mut warn = |is_wrong: bool, text: String| {
            if is_wrong {
                found.push(Finding::Warning(text));
            }
        };
        warn(
            memory == 0 && policy.starts_with("allkeys-"),
            format!(
                "it would drop the log if it had a limit of memory (maxmemory-policy {policy}); set noeviction"
            ),
        );
        warn(
            memory > 0 && limits.bytes > 0 && memory < limits.bytes,
            format!(
                "it takes {memory} bytes in all (maxmemory), and the hub keeps {} of events: publications will be refused before the \
                 oldest events go; lower --history-bytes",
                limits.bytes
            ),
        );
        let appends = !self.is("aof_enabled", "0");
        warn(
            !appends,
            "it appends to no file (appendonly no): what was acknowledged since its last snapshot is lost when it ends".to_owned(),
        );
        match self.appendfsync.as_deref().filter(|_| appends) {
            Some("everysec") => warn(
                true,
                "it writes to its disk every second (appendfsync everysec): what was acknowledged in the last second or two is lost with the \
                 machine"
                    .to_owned(),
            ),
            Some("no") => warn(
                true,
                "it leaves to the system when it writes to its disk (appendfsync no): what was acknowledged in the last half minute may be lost \
                 with the machine"
                    .to_owned(),
            ),
            _ => {}
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n# Memory\r\nmaxmemory:0\r\n\
                        maxmemory_policy:noeviction\r\n# Persistence\r\naof_enabled:1\r\n# Replication\r\nrole:master\r\n# Cluster\r\ncluster_enabled:0\r\n";

    fn findings(replaced: &str, by: &str, appendfsync: Option<&str>) -> Vec<Finding> {
        assert!(GOOD.contains(replaced), "{replaced}");
        let mut server = Server::read(&GOOD.replace(replaced, by));
        server.appendfsync = appendfsync.map(ToOwned::to_owned);
        server.findings(&Limits { events: 0, bytes: 1 << 30, age: std::time::Duration::ZERO })
    }

    fn check(replaced: &str, by: &str, expected: &str, is_refused: bool) {
        match &findings(replaced, by, None)[..] {
            [Finding::Refused(text)] if is_refused => assert!(text.contains(expected), "{text}"),
            [Finding::Warning(text)] if !is_refused => assert!(text.contains(expected), "{text}"),
            found => panic!("{found:?}"),
        }
    }

    #[test]
    fn a_server_that_keeps_all_and_writes_at_once_is_fit() {
        assert_eq!(findings("", "", Some("always")), []);
        assert_eq!(findings("", "", None), []);
    }

    #[test]
    fn a_server_that_could_not_keep_the_log_is_refused() {
        check("redis_mode:standalone", "redis_mode:cluster", "Cluster", true);
        check("redis_version:7.0.15", "redis_version:5.0.14", "6.2", true);
        let evicting = "maxmemory:9000000000\r\nmaxmemory_policy:allkeys-lru";
        check("maxmemory:0\r\nmaxmemory_policy:noeviction", evicting, "allkeys-lru", true);
    }

    #[test]
    fn what_weakens_a_server_is_told() {
        check("maxmemory_policy:noeviction", "maxmemory_policy:allkeys-lfu", "noeviction", false);
        check("maxmemory:0", "maxmemory:1000", "--history-bytes", false);
        check("aof_enabled:1", "aof_enabled:0", "snapshot", false);
        assert_eq!(findings("", "", Some("everysec")).len(), 1);
        assert_eq!(findings("", "", Some("no")).len(), 1);
        // Keys of the hub's never expire, so what is dropped are those of others.
        assert_eq!(findings("noeviction", "volatile-lru", None), []);
    }

    #[test]
    fn a_replica_is_told_from_a_primary() {
        assert!(!Server::read(GOOD).is_replica());
        assert!(Server::read(&GOOD.replace("role:master", "role:slave")).is_replica());
    }
}
