//! npm `eventsource`: the EventSource of Node.js programs.

import { open } from "./node-eventsource.mjs";
import { exampleSuite, hubSuite } from "./suite.mjs";

hubSuite("npm eventsource", open);
exampleSuite("npm eventsource", open);
