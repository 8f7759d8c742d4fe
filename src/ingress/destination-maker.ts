/** Makes destinations that are named for the first time, each once however many connections wait for it. */
import type { Logger } from '../base/logger.ts';
import { FairleadError } from '../errors.ts';
import type { Directory } from './directory.ts';

export class DestinationMaker {
  readonly #directory: Directory;
  readonly #logger: Logger;
  readonly #underway = new Map<string, Promise<FairleadError | undefined>>();

  constructor(directory: Directory, logger: Logger) {
    this.#directory = directory;
    this.#logger = logger;
  }

  /** Resolves with undefined once the directory has it, else with why it has not. Never rejects. */
  make(destination: string): Promise<FairleadError | undefined> {
    const known = this.#underway.get(destination);
    if (known !== undefined) return known;
    const made = this.#make(destination).finally(() => this.#underway.delete(destination));
    this.#underway.set(destination, made);
    return made;
  }

  async #make(destination: string): Promise<FairleadError | undefined> {
    try {
      await this.#directory.create(destination);
      if (this.#directory.shardOf(destination) !== undefined) return undefined;
      throw new Error('it was made, yet the directory does not have it');
    } catch (error) {
      if (error instanceof FairleadError) return error;
      this.#logger.error({ err: error, destination }, 'destination not made');
      return new FairleadError('internal');
    }
  }
}
