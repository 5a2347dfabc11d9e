// What the hub says when it refuses: status, sentence, challenge. Shown as it came, for that is what a client has to go by.

import { make } from "./element.js";

const USUAL = { 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 413: "Content Too Large", 415: "Unsupported Media Type", 422: "Unprocessable Content", 429: "Too Many Requests", 503: "Service Unavailable", 504: "Gateway Timeout" };
const SENTENCE_MAX = 500;

export class Answer {
  static async of(response) {
    const answer = new Answer();
    answer.status = response.status;
    // HTTP/2 has no reason phrase.
    answer.phrase = response.statusText || USUAL[response.status] || "";
    answer.headers = ["WWW-Authenticate", "Retry-After", "Allow"].flatMap((name) => {
      const value = response.headers.get(name);
      return value === null ? [] : [[name, value]];
    });
    answer.sentence = (await response.text()).trim().slice(0, SENTENCE_MAX);
    return answer;
  }

  /** The status, then the sentence. */
  get inWords() {
    return `${this.status} ${this.sentence || this.phrase}`;
  }

  /** Elements to show it with. */
  get shown() {
    const line = make("p", "answer-line", make("strong", "", `${this.status} ${this.phrase}`.trim()), " ", this.sentence);
    return [line, this.shownHeaders];
  }

  /** The headers that say what to do next. */
  get shownHeaders() {
    const headers = make("dl", "answer-headers");
    for (const [name, value] of this.headers) headers.append(make("dt", "", name), make("dd", "", value));
    headers.hidden = this.headers.length === 0;
    return headers;
  }
}
