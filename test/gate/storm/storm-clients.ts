/** All clients of a storm, in a process of their own. */
import { answerParent } from '../../../bench/gateways/child.ts';
import { randomFrom } from '../../crash/traffic.ts';
import { StormClient } from './storm-client.ts';
import { NO_OUTCOMES, type StormOptions, type StormSaid } from './storm-plan.ts';

const FAULTS_MAX = 10;
/** New clients a millisecond at the begin: the listener's backlog is finite. */
const RAMP_PER_MS = 4;

export const questions = {
  async run({ port, seed, requests, atOnce, firstId }: StormOptions): Promise<StormSaid> {
    const random = randomFrom(seed);
    const outcomes = { ...NO_OUTCOMES };
    const faults: string[] = [];
    const fault = (text: string): void => {
      if (faults.length < FAULTS_MAX) faults.push(text);
    };
    const startMs = performance.now();
    let next = 0;
    const work = async (index: number): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, index / RAMP_PER_MS));
      const client = new StormClient({ port, random, outcomes, fault });
      while (next < requests && faults.length < FAULTS_MAX) {
        next += 1;
        try {
          await client.request(firstId + next);
        } catch (error) {
          fault((error as Error).message);
        }
      }
      client.close();
    };
    await Promise.all(Array.from({ length: atOnce }, (_, index) => work(index)));
    return { outcomes, faults, seconds: (performance.now() - startMs) / 1000 };
  },
};

export type StormQuestions = typeof questions;

answerParent(questions);
