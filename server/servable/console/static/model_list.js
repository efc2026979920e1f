// The models of the server, to choose one.

import { element } from "./elements.js";

const FEW = 8;
const LEADING = ["available", "loading", "start", "unloading", "failed", "end"];

/** The state that says most of a model: what it can do, whatever else fails. */
export function stateOf(model) {
  const states = model.versions.map((version) => version.state);
  return LEADING.find((state) => states.includes(state)) ?? "end";
}

/** A name as it is shown; one without characters would not be seen. */
export const nameOf = (model) => model.name || "(no name)";

/** The link to a model within the page. */
export const linkTo = (model) => `#model=${model.id}`;

export class ModelList {
  constructor(list, filter) {
    this.list = list;
    this.filter = filter;
    this.models = [];
    filter.addEventListener("input", () => this.show());
  }

  /** Show these models, one of them as chosen. */
  update(models, notShown, chosen) {
    Object.assign(this, { models, notShown, chosen });
    this.filter.hidden = models.length <= FEW;
    this.show();
  }

  show() {
    const wanted = this.filter.value.toLowerCase();
    const found = this.models.filter((model) => model.name.toLowerCase().includes(wanted));
    const focused = document.activeElement?.getAttribute("href");
    this.list.replaceChildren(...found.map((model) => this.item(model)), ...(this.notShown ? [element("li", { class: "muted small" }, `and ${this.notShown} more`)] : []));
    // Items are made anew when models change, and who walks through them by keyboard stays where they are.
    if (focused) [...this.list.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused)?.focus();
  }

  item(model) {
    const state = stateOf(model);
    const available = model.versions.filter((version) => version.state === "available").map(({ version }) => version);
    const about = available.length ? `version ${available.join(", ")}` : state;
    const hasFailed = state === "available" && model.versions[0].state === "failed";
    const link = element(
      "a",
      { href: linkTo(model), "aria-current": model.id === this.chosen?.id ? "true" : null },
      element("span", { class: `dot ${state}`, "aria-hidden": "true" }),
      element("span", { class: "name" }, nameOf(model)),
      element("span", { class: "muted small" }, hasFailed ? `${about}; ${model.versions[0].version} failed` : about),
    );
    return element("li", {}, link);
  }
}
