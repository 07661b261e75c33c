/** What may stand in a cookie that the proxy sets: what else would begin another attribute, or another line. */

/** As ingress-nginx has it. */
export const COOKIE_NAME = /^[A-Za-z0-9_-]{1,128}$/
export const COOKIE_PATH = /^\/[!-+\--:<-~]{0,1023}$/
export const COOKIE_DOMAIN = /^\.?[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/
