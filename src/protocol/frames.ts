// Both directions of the client protocol in one import.
export * from './client-frames.ts';
export * from './daemon-frames.ts';
export * from './gate-frames.ts';
export * from './message-id.ts';
export * from './ok-results.ts';
export { BadFrameError } from './read-fields.ts';
