pub struct MemoryReplica;
