/* i18n.h - gettext's usual shorthands. `_` translates, `N_` only marks a text for translation. */
#ifndef TWOFOLD_BASE_I18N_H
#define TWOFOLD_BASE_I18N_H

#include <libintl.h>

#define TWOFOLD_TEXTDOMAIN "twofold"
#define _(text) dgettext(TWOFOLD_TEXTDOMAIN, text)
#define N_(text) (text)
#define P_(one, many, n) dngettext(TWOFOLD_TEXTDOMAIN, one, many, (unsigned long)(n))

/* For the mains: sets the locale and finds the catalogs, beside the program (../share/locale and,
 * in a build tree, ./locale) or where they were installed. */
void i18n_init(void);

#endif
