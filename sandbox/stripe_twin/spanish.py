"""The pages' words in Spanish. What is missing here fails loudly, so that no page is half translated."""

from collections.abc import Callable, Mapping

Say = Callable[[str], str]

SPANISH: Mapping[str, str] = {
    "test payments": "pagos de prueba",
    "TEST PAYMENTS": "PAGOS DE PRUEBA",
    "This page stands in for Stripe. No money moves, and no real card is accepted.": (
        "Esta página hace las veces de Stripe. No se mueve dinero y no se acepta ninguna tarjeta real."
    ),
    "Pay": "Pagar",
    "Invoice": "Factura",
    "Due on": "Vence el",
    "This invoice is not to be paid any more": "Esta factura ya no debe pagarse",
    "Or transfer the amount and name the number of the invoice.": (
        "O transfiera el importe indicando el número de la factura."
    ),
    "Back to the shop": "Volver a la tienda",
    "Amount due": "Importe a pagar",
    "Total due": "Total a pagar",
    "Pay with card": "Pagar con tarjeta",
    "Pay by SEPA Direct Debit": "Pagar por adeudo directo SEPA",
    "Pay by US bank account": "Pagar con cuenta bancaria de EE. UU.",
    "Or:": "O bien:",
    "IBAN": "IBAN",
    "Routing number": "Número de ruta",
    "Account number": "Número de cuenta",
    "Account holder": "Titular de la cuenta",
    "Company or full name": "Empresa o nombre completo",
    "By paying you authorise the shop to debit this account. The bank takes some days to say yes or no.": (
        "Al pagar autoriza a la tienda a cargar el importe en esta cuenta. El banco tarda unos días en responder."
    ),
    "Keep this card for later payments to the shop": "Guardar esta tarjeta para próximos pagos a la tienda",
    "Succeeds; once saved, it is declined": "Se acepta; una vez guardada, se rechaza",
    "Test accounts": "Cuentas de prueba",
    "Choose a number to fill in the form.": "Elija un número para rellenar el formulario.",
    "Succeeds after seven days": "Se cobra a los siete días",
    "Fails after seven days": "Falla a los siete días",
    "Succeeds after four days": "Se cobra a los cuatro días",
    "Fails after four days": "Falla a los cuatro días",
    "Enter the IBAN of a test account.": "Escriba el IBAN de una cuenta de prueba.",
    "Enter the number of a test account.": "Escriba el número de una cuenta de prueba.",
    "Enter the routing number of the test bank, 110000000.": (
        "Escriba el número de ruta del banco de prueba, 110000000."
    ),
    "Enter the name of the account holder.": "Escriba el nombre del titular de la cuenta.",
    "This payment is under way": "Este pago está en curso",
    "There is nothing more to do here.": "Aquí no queda nada por hacer.",
    "Qty": "Cant.",
    "each": "por unidad",
    "E-mail": "Correo electrónico",
    "Card number": "Número de tarjeta",
    "Expiry date": "Fecha de caducidad",
    "MM / YY": "MM / AA",
    "Security code": "Código de seguridad",
    "Name on card": "Nombre en la tarjeta",
    "Full name": "Nombre completo",
    "Test cards": "Tarjetas de prueba",
    "Choose a number to fill in the form. Any future date and any security code will do.": (
        "Elija un número para rellenar el formulario. Sirven cualquier fecha futura y cualquier código de seguridad."
    ),
    "Number": "Número",
    "What happens": "Qué ocurre",
    "Any other number": "Cualquier otro número",
    "Declined: not a test card": "Rechazada: no es una tarjeta de prueba",
    "Succeeds": "Se acepta",
    "Succeeds (Mastercard)": "Se acepta (Mastercard)",
    "Succeeds (American Express)": "Se acepta (American Express)",
    "Succeeds; refunds take a minute": "Se acepta; los reembolsos tardan un minuto",
    "Succeeds; refunds are sent back": "Se acepta; el banco devuelve los reembolsos",
    "Succeeds; disputed a minute later": "Se acepta; se impugna un minuto después",
    "Succeeds; disputed as not received": "Se acepta; se impugna por no recibido",
    "Succeeds; the bank asks about it": "Se acepta; el banco pide explicaciones",
    "Asks for 3D Secure": "Pide 3D Secure",
    "Asks for 3D Secure every time": "Pide 3D Secure siempre",
    "3D Secure, then declined": "3D Secure y después rechazada",
    "Declined": "Rechazada",
    "Declined: insufficient funds": "Rechazada: fondos insuficientes",
    "Declined: lost card": "Rechazada: tarjeta perdida",
    "Declined: stolen card": "Rechazada: tarjeta robada",
    "Declined: expired card": "Rechazada: tarjeta caducada",
    "Declined: wrong security code": "Rechazada: código de seguridad incorrecto",
    "Declined: processing error": "Rechazada: error al procesarla",
    "Your card was declined.": "Su tarjeta ha sido rechazada.",
    "Your card was declined. Your request was in test mode, but used a non test card.": (
        "Su tarjeta ha sido rechazada: esto es una prueba y la tarjeta no es de prueba."
    ),
    "Your card has insufficient funds.": "Su tarjeta no tiene fondos suficientes.",
    "Your card has expired.": "Su tarjeta ha caducado.",
    "Your card's security code is incorrect.": "El código de seguridad de su tarjeta es incorrecto.",
    "An error occurred while processing your card. Try again in a little bit.": (
        "Se ha producido un error al procesar su tarjeta. Inténtelo de nuevo dentro de un momento."
    ),
    (
        "We are unable to authenticate your payment method. Please choose a different payment method and try again."
    ): "No hemos podido autenticar su medio de pago. Elija otro e inténtelo de nuevo.",
    "Try another card.": "Pruebe con otra tarjeta.",
    "Enter a card number.": "Escriba un número de tarjeta.",
    "Your card number is incorrect.": "El número de su tarjeta es incorrecto.",
    "Enter the expiry date as MM / YY.": "Escriba la fecha de caducidad como MM / AA.",
    "Your card's expiration date is in the past.": "La fecha de caducidad de su tarjeta ya ha pasado.",
    "Enter the 3-digit security code.": "Escriba el código de seguridad de 3 cifras.",
    "Enter the 4-digit security code.": "Escriba el código de seguridad de 4 cifras.",
    "Enter an e-mail address, such as buyer@acme.example.": (
        "Escriba una dirección de correo electrónico, como buyer@acme.example."
    ),
    "Confirm your payment": "Confirme su pago",
    "Your bank asks: is this you?": "Su banco pregunta: ¿es usted?",
    "3D Secure check for a payment of": "Comprobación 3D Secure de un pago de",
    "A real bank would ask for its app or a code; here you choose how it ends.": (
        "Un banco real pediría su aplicación o un código; aquí elige usted cómo termina."
    ),
    "Complete authentication": "Completar la autenticación",
    "Fail authentication": "Rechazar la autenticación",
    "Use another card instead": "Usar otra tarjeta",
    "This order is paid": "Este pedido está pagado",
    "There is nothing more to pay here.": "Aquí no queda nada por pagar.",
    "Go to your order": "Ir a su pedido",
    "This payment page has expired": "Esta página de pago ha caducado",
    "Nothing was charged. Start the payment again from the shop.": (
        "No se ha cobrado nada. Empiece de nuevo el pago desde la tienda."
    ),
    "The Stripe twin made a mistake": "El servidor de pruebas se ha equivocado",
    "Stripe test server": "Servidor de pruebas de Stripe",
    "It runs. Pay from the shop's checkout.": "Funciona. Pague desde la caja de la tienda.",
    "Not found": "No encontrado",
    "There is no such page on the Stripe test server.": "Esa página no existe en el servidor de pruebas de Stripe.",
    "There is no such payment. Start again from the shop.": "Ese pago no existe. Empiece de nuevo desde la tienda.",
}


def speaker(language: str) -> Say:
    """What says an English text in *language*: ``es``, or anything else for English itself."""
    return SPANISH.__getitem__ if language == "es" else str


def preferred_language(locale: str | None, accept_language: str) -> str:
    """``es`` or ``en``: the Session's locale decides, or the browser's wish where that is absent or ``auto``."""
    wish = locale if locale not in {None, "auto"} else accept_language.strip()
    return "es" if (wish or "").lower().startswith("es") else "en"
