// Finds and makes elements, and writes down times. Text is never parsed.

export const $ = (id) => document.getElementById(id);

/** Makes an element whose children are elements or text. */
export function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/** Makes a button that does `action`. */
export function makeButton(className, text, action) {
  const button = make("button", className, text);
  button.type = "button";
  button.addEventListener("click", action);
  return button;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23" });

export function timeOf(when) {
  const time = make("time", "", clock.format(when));
  time.dateTime = when.toISOString();
  return time;
}

export const counted = (count, one, many = `${one}s`) => `${count.toLocaleString()} ${count === 1 ? one : many}`;

/** Has `action` done in place of sending the form. */
export function onSubmit(form, action) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    action();
  });
}

/** Has `button` copy what `text` gives. Without leave for the clipboard it is shown below, selected. */
export function copies(button, text, label) {
  const usual = button.textContent;
  const shown = make("textarea", "curl");
  Object.assign(shown, { rows: 4, readOnly: true, hidden: true, ariaLabel: label });
  button.parentElement.after(shown);
  button.addEventListener("click", async () => {
    const copied = text();
    try {
      await navigator.clipboard.writeText(copied);
      shown.hidden = true;
      button.textContent = "Copied";
    } catch {
      shown.hidden = false;
      shown.value = copied;
      shown.select();
      button.textContent = "Select and copy";
    }
    setTimeout(() => { button.textContent = usual; }, 2_000);
  });
}

export const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
