/** What carries the frames of a session between device and server (spec SES-1, §19). */

import type { JsonObject } from "../json.ts";
import type { ClientFrame, DeploymentMode, ServerFrame } from "../protocol/frames.ts";
import type { Auth, Failure, Renew } from "./auth.ts";
import type { Platform } from "./platform.ts";

export interface LinkListener {
  opened(): void;
  frame(frame: ServerFrame): void;
  /** The connection ended or could not be made; `code`: how the server closed it. Nothing comes after it. */
  lost(code: number | undefined): void;
  /** No token is to be had without a person, or the server cannot be asked for one. Nothing comes after it. */
  refused(failure: Failure): void;
  /** A frame that replicas have no part in, or, without one, a message that does not follow the spec. */
  aside(frame?: JsonObject): void;
}

export interface LinkOptions {
  readonly server: string;
  readonly mode: DeploymentMode;
  readonly clientId: string;
  readonly renew: Renew;
}

/** One connection, under way or open. */
export interface Link {
  /** Sends a frame; on a connection that is not open it is lost, and `lost` says so. */
  send(frame: ClientFrame | JsonObject): void;
  /** Ends the connection without another word to the listener. What was sent before still goes out. */
  close(): void;
}

/** Begins a connection. */
export type Connect = (platform: Platform, auth: Auth, options: LinkOptions, listener: LinkListener) => Link;

/** A message of the server. It splits its own at 256 KiB, except one mutation that is larger; beyond: the connection ends. */
export const MESSAGE_CHARS_MAX = 16 << 20;
