// A list of matchers to fill in: each row a language and a text. One row is always there.

import { make, makeButton } from "./element.js";

export class Rows {
  /**
   * @param place the element that takes the rows, labelled
   * @param languages objects `{ value, name, placeholder, isAll }`; a text is not asked for where `isAll`
   */
  constructor(place, name, languages, first) {
    Object.assign(this, { place, name, languages, changed: () => {} });
    this.list = make("ul", "rows");
    this.list.role = "list";
    place.append(this.list, makeButton("plain add", "Add another", () => this.add().querySelector("select").focus()));
    this.set([first]);
  }

  /** Puts these in place of the rows: pairs of a language's value and a text. */
  set(pairs) {
    this.list.replaceChildren();
    for (const [value, text] of pairs) this.add(value, text);
  }

  add(value = this.languages[0].value, text = "") {
    const row = make("li", "row");
    const select = make("select");
    for (const language of this.languages) select.append(Object.assign(make("option", "", language.name), { value: language.value }));
    const input = Object.assign(make("input"), { value: text, spellcheck: false, autocapitalize: "off", ariaLabel: `${this.name}, text` });
    select.ariaLabel = `${this.name}, how it is compared`;
    select.value = value;
    const show = () => {
      const { isAll, placeholder } = this.languages.find((language) => language.value === select.value);
      input.hidden = isAll === true;
      input.required = !input.hidden;
      input.placeholder = placeholder ?? "";
      this.changed();
    };
    select.addEventListener("change", show);
    const remove = makeButton("remove", "×", () => {
      row.remove();
      if (this.list.childElementCount === 0) this.add();
      this.list.lastElementChild.querySelector("select").focus();
      this.changed();
    });
    remove.ariaLabel = `Remove this ${this.name.toLowerCase()}`;
    row.append(select, remove, input);
    this.list.append(row);
    show();
    return row;
  }

  /** The rows as they are: pairs of a language's value and a text. */
  get pairs() {
    return Array.from(this.list.children, (row) => [row.querySelector("select").value, row.querySelector("input").value]);
  }
}
