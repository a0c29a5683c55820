// The parts of preact that the pages use, bound to templates.
import { h, render, Fragment } from "./lib/preact.js";
import htm from "./lib/htm.js";

export { h, render, Fragment };
export { useState, useEffect, useLayoutEffect, useRef, useMemo, useCallback } from "./lib/hooks.js";
export const html = htm.bind(h);
