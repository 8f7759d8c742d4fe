/** Which tenant is below which, also those whose PUT is under way: no circles, and not too deep. */
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';

export class TenantTree {
  readonly #parents = new Map<string, string>();
  readonly #children = new Map<string, Set<string>>();

  /** Null: it is below none. */
  set(tenant: string, parent: string | null): void {
    const before = this.#parents.get(tenant);
    if (before === parent || (before === undefined && parent === null)) return;
    if (before !== undefined) {
      const children = this.#children.get(before);
      children?.delete(tenant);
      if (children?.size === 0) this.#children.delete(before);
      this.#parents.delete(tenant);
    }
    if (parent === null) return;
    this.#parents.set(tenant, parent);
    const children = this.#children.get(parent) ?? new Set();
    this.#children.set(parent, children.add(tenant));
  }

  /** How many tenants are above it. */
  depthOf(tenant: string): number {
    let depth = 0;
    for (let at = this.#parents.get(tenant); at !== undefined; at = this.#parents.get(at)) {
      depth += 1;
      if (depth > LIMITS.tenantDepth) break;
    }
    return depth;
  }

  /** @throws FairleadError invalidValue when `tenant` may not be below `parent` */
  check(tenant: string, parent: string): void {
    let above = 0;
    for (let at: string | undefined = parent; at !== undefined; at = this.#parents.get(at)) {
      if (at === tenant) throw parentRefusal(`${JSON.stringify(tenant)} would be below itself`);
      above += 1;
      if (above > LIMITS.tenantDepth) break;
    }
    if (above + 1 + this.#heightOf(tenant, LIMITS.tenantDepth) <= LIMITS.tenantDepth) return;
    throw tooDeep();
  }

  /** Tenants below each other under one; not looked for further than `most`. */
  #heightOf(tenant: string, most: number): number {
    if (most === 0) return 0;
    let height = 0;
    for (const child of this.#children.get(tenant) ?? []) {
      height = Math.max(height, 1 + this.#heightOf(child, most - 1));
    }
    return height;
  }
}

export function tooDeep(): FairleadError {
  return parentRefusal(`at most ${LIMITS.tenantDepth} tenants may be below each other`);
}

export function parentRefusal(reason: string): FairleadError {
  return new FairleadError('invalidValue', `parent: ${reason}.`, { field: 'parent' });
}
