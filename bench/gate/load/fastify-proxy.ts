/** The other proxy of the row: @fastify/http-proxy as its documentation shows it, in a process of its own. */
import httpProxy from '@fastify/http-proxy';
import Fastify from 'fastify';
import { answerParent } from '../../gateways/child.ts';

export const questions = {
  /** @returns its port */
  async listen(upstream: string): Promise<number> {
    const server = Fastify();
    await server.register(httpProxy, { upstream });
    return Number(new URL(await server.listen({ host: '127.0.0.1', port: 0 })).port);
  },
};

export type FastifyProxyQuestions = typeof questions;

answerParent(questions);
