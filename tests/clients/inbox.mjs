//! What a client has received, in order, for a test to wait on.
//!
//! A wait ends when the thing is there. The deadline is for a broken build alone; no test measures time.

const DEADLINE_MS = 60_000;

export class Inbox {
  #items = [];
  #waiting = [];
  /** Everything that ever came, also what has been taken. */
  all = [];

  push(item) {
    this.all.push(item);
    const taker = this.#waiting.shift();
    if (taker === undefined) this.#items.push(item);
    else taker(item);
  }

  /** Takes the next item. */
  async next() {
    if (this.#items.length > 0) return this.#items.shift();
    return withDeadline(
      new Promise((resolve) => this.#waiting.push(resolve)),
      () => `nothing came; so far: ${JSON.stringify(this.all).slice(-2_000)}`,
    );
  }

  /** Takes the next `count` items. */
  async take(count) {
    const taken = [];
    while (taken.length < count) taken.push(await this.next());
    return taken;
  }
}

/** Rejects, with what `complaint` says by then, when `promise` takes longer than any healthy run. */
export async function withDeadline(promise, complaint) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`deadline passed: ${complaint()}`)), DEADLINE_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
