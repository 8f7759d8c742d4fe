// Opens the shards with the entities they have to know, and joins what they tell with who takes it.
import type { ProcessClock } from './base/clock.ts';
import type { Logger } from './base/logger.ts';
import type { Callbacks } from './callbacks/callbacks.ts';
import type { Config } from './config/index.ts';
import type { EntityService } from './dispatch/entity-service.ts';
import { encodeConfiguration } from './dispatch/shard-requests.ts';
import type { FrameSink } from './exchange/frame-sink.ts';
import { ShardPool } from './shard/shard-pool.ts';
import type { DataDirectory } from './store/data-directory.ts';
import type { UsageService } from './usage/usage-service.ts';

export interface OpenShardsParts {
  readonly config: Config;
  readonly directory: DataDirectory;
  readonly entities: EntityService;
  readonly clock: ProcessClock;
  readonly callbacks: Callbacks;
  readonly usage: UsageService;
  readonly sink: FrameSink;
  readonly logger: Logger;
  readonly onFatal: (error: Error) => void;
}

/** Recovers them. @throws DataDirectoryError, RecordError, or what keeps a shard from opening */
export function openShards(parts: OpenShardsParts): Promise<ShardPool> {
  const { config, directory, entities, callbacks, usage, sink, ...rest } = parts;
  const { billable } = config.usage;
  return ShardPool.open({
    ...rest,
    directory: directory.path,
    shards: directory.shards,
    durability: config.durability,
    hashKey: directory.hashKey,
    dataId: directory.dataId,
    memory: config.dispatch,
    configuration: (shard) => encodeConfiguration(entities.changesFor(shard), billable),
    sink: {
      ...sink,
      statusEvents: (shard, sequence, bytes) => callbacks.statusEvents(shard, sequence, bytes),
      usage: (shard, told) => usage.shardDeltas(shard, told),
    },
  });
}

/** Where frames go once there are connections. */
export function frameSinkOf(connections: () => FrameSink | undefined): FrameSink {
  return {
    sendFrames: (connection, buffer, spans, count) =>
      connections()?.sendFrames(connection, buffer, spans, count),
    closeConnection: (connection, code) => connections()?.closeConnection(connection, code),
    windowReleased: (connection, bytes) => connections()?.windowReleased(connection, bytes),
  };
}
