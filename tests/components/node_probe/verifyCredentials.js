module.exports = async credential => {
    if (credential.token !== 'right') throw new Error('the token is not known');
    return { verified: true };
};
