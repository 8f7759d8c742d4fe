// Preloaded by ts.mjs in every thread: workers inherit the flag, not the hooks.
import { register } from 'tsx/esm/api';

register();
