// Both directions of the client protocol in one import.
export * from './client-frames.ts';
export * from './daemon-frames.ts';
export * from './message-id.ts';
