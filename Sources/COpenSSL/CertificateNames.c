#include "COpenSSL.h"

int mt_certificate_dns_names(const char *path, void (*each)(const unsigned char *name, int length, void *argument),
                             void *argument) {
    BIO *file = BIO_new_file(path, "r");
    if (!file) return 0;
    X509 *certificate = PEM_read_bio_X509(file, NULL, NULL, NULL);
    BIO_free(file);
    if (!certificate) return 0;
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_DNS) continue;
        each(ASN1_STRING_get0_data(name->d.dNSName), ASN1_STRING_length(name->d.dNSName), argument);
    }
    GENERAL_NAMES_free(names);
    X509_free(certificate);
    return 1;
}
