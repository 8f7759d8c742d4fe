/** A round as a server of the bench saw it: pace, and what the sender's processors did meanwhile. */
import { readFileSync } from 'node:fs';
import { type ProcessTimes, parseProcessTimes } from '../../process-times.ts';
import { ArrivalLog } from './arrival-log.ts';

export interface RoundResult {
  /** The middle 80 % of all. */
  readonly messages: number;
  readonly seconds: number;
  /** Processor time of the sender in the middle; grain 10 ms. */
  readonly sender: ProcessTimes;
  readonly serverCpuUs: number;
  /** Requests of the whole round. */
  readonly requests: number;
}

interface Times {
  readonly sender: ProcessTimes;
  readonly serverUs: number;
}

const STALL_MS = 30_000;
const POLL_MS = 5;

export class Round {
  readonly log: ArrivalLog<Times>;
  requests = 0;

  constructor(messages: number, senderPid: number) {
    this.log = new ArrivalLog(messages, () => timesOf(senderPid));
  }

  /** @throws Error at a message that came twice, and when none came for 30 s */
  async result(): Promise<RoundResult> {
    let [arrived, stalledMs] = [-1, 0];
    while (!this.log.isComplete) {
      if (this.log.arrived !== arrived) stalledMs = performance.now();
      arrived = this.log.arrived;
      if (performance.now() - stalledMs > STALL_MS) break;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    const { messages, seconds, first, last } = this.log.middle();
    return {
      messages,
      seconds,
      sender: {
        processUs: last.sender.processUs - first.sender.processUs,
        mainThreadUs: last.sender.mainThreadUs - first.sender.mainThreadUs,
      },
      serverCpuUs: last.serverUs - first.serverUs,
      requests: this.requests,
    };
  }
}

function timesOf(senderPid: number): Times {
  const { user, system } = process.cpuUsage();
  return {
    sender: {
      processUs: timeOf(`/proc/${senderPid}/stat`),
      mainThreadUs: timeOf(`/proc/${senderPid}/task/${senderPid}/stat`),
    },
    serverUs: user + system,
  };
}

function timeOf(path: string): number {
  return parseProcessTimes(readFileSync(path, 'latin1'));
}
